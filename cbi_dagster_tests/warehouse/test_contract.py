"""What every engine refuses, and the slice it accepts."""

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.warehouse import contract
from cbi_dagster.warehouse.contract import check_slice, to_arrow, to_frame

from .conftest import SAMPLE

DAYS = np.array(["2024-01-02", "2024-01-03"], dtype="datetime64[D]")


def broken(frame, **columns):
    return frame.assign(**columns)


@pytest.mark.parametrize(
    ("breakage", "error", "says"),
    [
        (lambda f: f.assign(surprise=1), contract.UnknownColumnError, "surprise"),
        (lambda f: f.drop(columns="flag"), contract.MissingColumnError, "flag"),
        (lambda f: f.assign(price="12"), contract.WrongTypeError, "price"),
        (lambda f: f.assign(volume=1.5), contract.WrongTypeError, "volume"),
        (lambda f: f.assign(symbol=7), contract.WrongTypeError, "symbol"),
        (lambda f: f.assign(at=f["at"].dt.tz_localize(None)), contract.WrongTypeError, "time zone"),
        (lambda f: f.assign(at=f["at"] + pd.Timedelta(1, "ns")), contract.WrongTypeError, "at"),
        (lambda f: f.assign(date=f["date"] + pd.Timedelta("1h")), contract.WrongTypeError, "times of day"),
        (lambda f: f.assign(price=np.inf), contract.NotFiniteError, "price"),
        (lambda f: f.assign(price=np.nan), contract.NullInRequiredError, "price"),
        (lambda f: pd.concat([f, f.iloc[:1]]), contract.DuplicateKeyError, "ZL, 2024-01-02"),
        (lambda f: f.assign(date=f["date"] + pd.Timedelta(days=1)), contract.OutsidePartitionError, "2024-01-04"),
    ],
)
def test_a_slice_that_bigquery_would_reject_is_a_named_error_and_nothing_is_written(
    warehouse, provenance, rows, breakage, error, says
):
    with pytest.raises(error, match=says) as caught:
        warehouse.replace(SAMPLE, DAYS, breakage(rows("2024-01-02", "2024-01-03")), provenance(DAYS))
    assert "features.sample" in str(caught.value)
    assert len(warehouse.read(SAMPLE)) == 0
    assert warehouse.ledger({SAMPLE.id}).empty


def test_a_slice_is_sorted_by_partition_and_key(rows):
    shuffled = rows("2024-01-03", "2024-01-02").iloc[[2, 1, 0, 3]]
    checked = check_slice(SAMPLE, DAYS, shuffled)
    assert list(zip(*(checked.data[name].to_pylist() for name in ("date", "symbol")), strict=True)) == [
        (day.astype(object), symbol) for day in DAYS for symbol in ("ES", "ZL")
    ]
    assert checked.row_counts.tolist() == [2, 2]


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
