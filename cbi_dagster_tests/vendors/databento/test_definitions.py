"""Files of definitions at the door: which instruments are futures of the universe, and under which number when."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cbi_dagster.config.universe import load_universe
from cbi_dagster.vendors.databento.definitions import Definitions
from cbi_dagster.vendors.databento.writing import definition_records, write_records
from cbi_dagster.vendors.files import LaterFeatureError
from cbi_dagster.vendors.kinds import Examined
from cbi_dagster_tests.vendors.small_files import FIXTURES, content, mapping_of, zl_file

DEFINITIONS = Definitions(load_universe())
NOW = pd.Timestamp("2024-08-01", tz="UTC")


def definition(symbol: str, **said: object) -> dict[str, object]:
    return {
        "raw_symbol": symbol, "instrument_id": 11, "ts_recv": "2024-07-02", "instrument_class": "F", "asset": "ZL",
        "activation": "2023-01-17 15:00", "expiration": "2024-12-13 18:00", "currency": "USD", "exchange": "XCBT",
        "unit_of_measure": "LBS", "min_price_increment": 0.01, "unit_of_measure_qty": 60000.0, "maturity_year": 2024,
        "maturity_month": 12, **said,
    }  # fmt: skip


def examined(directory: Path, *rows: dict[str, object]) -> Examined:
    frame = pd.DataFrame(rows)
    for name in ("ts_recv", "activation", "expiration"):
        frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601").astype("datetime64[ns, UTC]")
    path = write_records(
        directory / "zl.definition.dbn.zst", definition_records(frame), dataset="GLBX.MDP3", schema="definition",
        stype_in="parent", start=pd.Timestamp("2024-07-01", tz="UTC"), end=pd.Timestamp("2024-07-06", tz="UTC"),
        mappings=mapping_of(("ZLZ4", "2024-07-01", "2024-07-06", 11)), symbols=["ZL.FUT"],
    )  # fmt: skip
    found = DEFINITIONS.examine(content(path), NOW)
    assert found.rows == len(found.kept) + len(found.rejected) + sum(found.outside.values())
    return found


def test_a_future_is_kept_with_what_the_exchange_says_of_it(tmp_path: Path) -> None:
    row = examined(tmp_path, definition("ZLZ4")).kept.iloc[0]
    assert (row["symbol"], row["root"], row["instrument_id"], row["instrument_class"]) == ("ZLZ4", "ZL", 11, "F")
    assert row["date"] == pd.Timestamp("2024-07-02")
    assert row["delivery_month"] == pd.Timestamp("2024-12-01")
    assert row["expiration"] == pd.Timestamp("2024-12-13 18:00", tz="UTC")
    assert (row["min_price_increment"], row["unit_of_measure_qty"], row["unit_of_measure"]) == (0.01, 60000.0, "LBS")
    assert (row["trading_currency"], row["exchange_mic"], row["security_group"]) == ("USD", "XCBT", "ZL")


def test_spreads_options_and_others_are_counted_and_left_out(tmp_path: Path) -> None:
    found = examined(
        tmp_path,
        definition("ZLZ4-ZLH5", instrument_class="S"),
        definition("ZLZ4", instrument_class="S"),  # a name says less than the class
        definition("OZLZ4 C500", instrument_class="C"),
        definition("KEZ4"),
        definition("ZLZ4"),
    )
    assert found.kept["symbol"].tolist() == ["ZLZ4"]
    assert found.outside == {"ZLZ4-ZLH5": 1, "ZLZ4": 1, "OZLZ4 C500": 1, "KEZ4": 1}


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("expired_before_activation", {"activation": "2025-01-01"}),
        ("before_first_trade_date", {"ts_recv": "2010-06-04"}),
    ],
)
def test_a_definition_that_cannot_be_is_rejected_with_its_reason(tmp_path: Path, reason: str, said: dict) -> None:
    frame = definition("ZLZ4", **said)
    if "ts_recv" in said:
        path = tmp_path / "zl.definition.csv"
        row = {name: frame[name] for name in ("ts_recv", "raw_symbol", "instrument_id", "instrument_class")}
        pd.DataFrame([{**row, "expiration": frame["expiration"]}]).to_csv(path, index=False)
        found = DEFINITIONS.examine(content(path), NOW)
    else:
        found = examined(tmp_path, frame)
    assert found.rejected["reason"].tolist() == [reason]


def test_a_csv_file_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "zl.definition.csv"
    row = definition("ZLZ4", group="ZL", activation="2023-01-17T15:00:00Z", expiration="2024-12-13T18:00:00Z")
    pd.DataFrame([row]).to_csv(path, index=False)
    told, dbn = DEFINITIONS.examine(content(path), NOW).kept, examined(tmp_path, definition("ZLZ4")).kept
    same = ["symbol", "root", "date", "instrument_id", "delivery_month", "activation", "expiration"]
    assert told[same].astype(str).to_dict("records") == dbn[same].astype(str).to_dict("records")
    assert told["security_update_action"].isna().all()


def test_a_file_of_bars_is_another_kinds(tmp_path: Path) -> None:
    with pytest.raises(LaterFeatureError):
        DEFINITIONS.examine(content(zl_file(tmp_path / "zl.dbn.zst")), NOW)


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="the vendor's files are not here")
@pytest.mark.parametrize(
    ("name", "symbols"),
    [
        ("databento-python/test_data.definition.dbn.zst", ["ESH1"]),
        ("nautilus/definition-glbx-es-fut.dbn.zst", ["ESM3", "ESM3"]),
        ("nautilus/futures_settlement__databento__futures_settlement_definition.dbn.zst", ["ESH6", "ESZ5"]),
        ("nautilus/definition-glbx-es-futspread.dbn.zst", []),
    ],
)
def test_the_vendors_own_records_are_read_in_every_version(name: str, symbols: list[str]) -> None:
    found = DEFINITIONS.examine(content(FIXTURES / name), pd.Timestamp("2026-07-01", tz="UTC"))
    assert found.kept["symbol"].tolist() == symbols
    assert found.rejected.empty
    assert (found.kept["root"] == "ES").all()
