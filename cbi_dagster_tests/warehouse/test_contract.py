"""What every engine refuses, and the slice it accepts."""

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.tables import ops
from cbi_dagster.warehouse import contract
from cbi_dagster.warehouse.contract import LandingFacts, check_slice, now_utc, to_arrow, to_frame

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
    assert warehouse.ledger_rows({SAMPLE.id}).empty


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


# -- landing ----------------------------------------------------------------------------------------------------------


def facts(registered, *, days=("2024-01-02",), content="0" * 32, **columns):
    """A landing of one file that touches `days` of hourly bars; `columns` overwrite those of its registry row."""
    moment = now_utc()
    file = {
        "file_hash": f"hash-{registered}", "landing_sequence": registered, "source_file": f"{registered}.dbn",
        "file_bytes": 1, "dataset": "SIM.DEMO", "vendor_schema": "ohlcv-1h", "stype_in": "continuous",
        "span_start": moment, "span_end": moment, "file_rows": 1, "kept_rows": 0, "rejected_rows": 1,
        "outside_rows": 0, "landed_at": moment,
    }  # fmt: skip
    rejected = pd.DataFrame({"file_hash": [f"hash-{registered}"], "source_file": "f", "source_row": 1}).assign(
        table_name="landing.ohlcv_1h", ts_event=moment, date=pd.Timestamp("2024-01-02"), symbol="ZL",
        reason="no_price", detail="",
    )  # fmt: skip
    ledger = pd.DataFrame({"table_name": "landing.ohlcv_1h", "partition_key": list(days)}).assign(
        content_hash=content, row_count=1, written_at=moment, written_run="landing", code_version="1",
        input_fingerprint="", verified_at=moment, verified_run="landing",
    )  # fmt: skip
    rows = {ops.LANDED_FILES: pd.DataFrame([file | columns]), ops.QUARANTINE: rejected}
    return LandingFacts(registered, rows, ledger)


def stored(warehouse):
    """Files, quarantined rows and content of landed dates."""
    ledger = warehouse.ledger_rows({"landing.ohlcv_1h"})
    counts = [len(warehouse.read(table)) for table in (ops.LANDED_FILES, ops.QUARANTINE)]
    return (*counts, dict(zip(ledger["partition_key"], ledger["content_hash"], strict=True)))


def test_a_landing_appends_its_rows_and_replaces_its_ledger_rows(warehouse):
    warehouse.take(facts(0, days=("2024-01-02", "2024-01-03")))
    warehouse.take(facts(1, days=("2024-01-03",), content="1" * 32))
    assert stored(warehouse) == (2, 2, {"2024-01-02": "0" * 32, "2024-01-03": "1" * 32})


def test_a_landing_that_was_overtaken_takes_nothing(warehouse):
    warehouse.take(facts(0))
    for registered in (0, 2):
        with pytest.raises(contract.RegistryMovedError, match=f"holds 1 files where {registered} were expected"):
            warehouse.take(facts(registered, content="1" * 32))
    assert stored(warehouse) == (1, 1, {"2024-01-02": "0" * 32})


@pytest.mark.parametrize("fault", ["row", "ledger"])
def test_a_landing_that_does_not_fit_takes_nothing(warehouse, fault):
    broken = facts(0, source_file=None) if fault == "row" else facts(0, content=None)
    with pytest.raises(contract.NullInRequiredError):
        warehouse.take(broken)
    assert stored(warehouse) == (0, 0, {})
