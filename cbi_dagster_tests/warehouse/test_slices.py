"""What every engine refuses, and the slice it accepts."""

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.warehouse import slices
from cbi_dagster.warehouse.slices import check_slice, to_arrow

from .conftest import SAMPLE

DAYS = np.array(["2024-01-02", "2024-01-03"], dtype="datetime64[D]")


@pytest.mark.parametrize(
    ("breakage", "error", "says"),
    [
        (lambda f: f.assign(surprise=1), slices.UnknownColumnError, "surprise"),
        (lambda f: f.drop(columns="flag"), slices.MissingColumnError, "flag"),
        (lambda f: f.assign(price="12"), slices.WrongTypeError, "price"),
        (lambda f: f.assign(volume=1.5), slices.WrongTypeError, "volume"),
        (lambda f: f.assign(symbol=7), slices.WrongTypeError, "symbol"),
        (lambda f: f.assign(at=f["at"].dt.tz_localize(None)), slices.WrongTypeError, "time zone"),
        (lambda f: f.assign(at=f["at"] + pd.Timedelta(1, "ns")), slices.WrongTypeError, "at"),
        (lambda f: f.assign(date=f["date"] + pd.Timedelta("1h")), slices.WrongTypeError, "times of day"),
        (lambda f: f.assign(price=np.inf), slices.NotFiniteError, "price"),
        (lambda f: f.assign(pivots=[{"P": np.inf, "kind": "R1"}] * 4), slices.NotFiniteError, r"pivots\.P holds 4"),
        (lambda f: f.assign(price=np.nan), slices.NullInRequiredError, "price is NULL in 4 rows, first at row 0"),
        (lambda f: pd.concat([f, f.iloc[:1]]), slices.DuplicateKeyError, "ZL, 2024-01-02"),
        (lambda f: f.assign(date=f["date"] + pd.Timedelta(days=1)), slices.OutsidePartitionError, "2024-01-04"),
    ],
)
def test_a_slice_that_bigquery_would_reject_is_a_named_error_and_nothing_is_written(
    warehouse, provenance, rows, breakage, error, says
):
    with pytest.raises(error, match=says) as caught:
        warehouse.replace(SAMPLE, DAYS, breakage(rows("2024-01-02", "2024-01-03")), provenance(DAYS))
    assert "features.sample" in str(caught.value)
    assert len(warehouse.read(SAMPLE)) == 0
    assert warehouse.ledger_rows({SAMPLE.id}).empty


def test_a_slice_is_sorted_by_partition_and_key(rows):
    shuffled = rows("2024-01-03", "2024-01-02").iloc[[2, 1, 0, 3]]
    checked = check_slice(SAMPLE, DAYS, shuffled)
    assert list(zip(*(checked.data[name].to_pylist() for name in ("date", "symbol")), strict=True)) == [
        (day.astype(object), symbol) for day in DAYS for symbol in ("ES", "ZL")
    ]
    assert checked.row_counts.tolist() == [2, 2]


@pytest.mark.parametrize("order", [[1, 0, 2, 3], [0, 1, 3, 2], [2, 3, 0, 1], [0, 2, 1, 3]])
def test_two_rows_out_of_order_anywhere_are_put_in_order(rows, order):
    in_order = rows("2024-01-02", "2024-01-03").sort_values(["date", "symbol"], ignore_index=True)
    checked = check_slice(SAMPLE, DAYS, in_order.take(order))
    assert checked.data.equals(to_arrow(SAMPLE, in_order))


def test_a_slice_of_no_partitions_in_particular_has_those_of_its_rows(rows):
    assert check_slice(SAMPLE, None, rows("2024-01-03", "2024-01-02")).partitions.tolist() == DAYS.tolist()
    assert len(check_slice(SAMPLE, None, rows("2024-01-02").iloc[:0]).partitions) == 0


def test_frames_survive_the_way_through_arrow(rows):
    frame = rows("2024-01-02", "2024-01-03")
    back = to_frame(SAMPLE, to_arrow(SAMPLE, frame))
    assert back["pivots_P"].tolist() == [0.0, 1.0, 2.0, 3.0]
    for name in ("date", "symbol", "price", "volume", "flag", "at"):
        pd.testing.assert_series_equal(back[name], frame[name], check_names=False)


def test_categoricals_and_empty_frames_are_accepted(rows):
    frame = rows("2024-01-02")
    categorical = to_arrow(SAMPLE, frame.astype({"symbol": "category"}))
    assert categorical.equals(to_arrow(SAMPLE, frame))
    assert len(to_arrow(SAMPLE, pd.DataFrame(columns=frame.columns))) == 0
