"""Files of statistics at the door: what is kept of them, what is rejected and why, and what a later file changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.config.universe import load_universe
from cbi_dagster.vendors.databento.statistics import Statistics
from cbi_dagster.vendors.databento.writing import statistics_records, write_records
from cbi_dagster.vendors.files import (
    ImplausibleValuesError,
    LaterFeatureError,
    LayoutError,
    UnresolvedSymbolsError,
    UnsupportedSchemaError,
)
from cbi_dagster.vendors.kinds import Examined, Landed, LandedFile
from cbi_dagster_tests.vendors.small_files import FIXTURES, content, mapping_of, zl_file

STATISTICS = Statistics(load_universe())
NOW = pd.Timestamp("2024-08-01", tz="UTC")
EVER = [(np.datetime64("2000-01-01"), np.datetime64("2030-01-01"))]
ZLZ4 = mapping_of(("ZLZ4", "2024-07-01", "2024-07-06", 11), ("ZLZ4-ZLH5", "2024-07-01", "2024-07-06", 12))
SETTLEMENT, VOLUME, OPEN_INTEREST, LOW = 3, 6, 9, 4


def record(received: str, about: str | None, kind: int = SETTLEMENT, value: float | None = 45.5, **said: int) -> dict:
    """One record of ZLZ4, or of another instrument."""
    priced = kind in (SETTLEMENT, LOW)
    return {
        "instrument_id": 11, "ts_recv": pd.Timestamp(received, tz="UTC"), "ref_date": pd.Timestamp(about or "NaT"),
        "stat_type": kind, "price": value if priced else None, "quantity": None if priced else value,
        "stat_flags": 2, "update_action": 1, **said,
    }  # fmt: skip


def statistics_file(path: Path, rows: Sequence[dict], mappings: pd.DataFrame = ZLZ4, **header: object) -> Path:
    frame = pd.DataFrame(rows).astype({"price": float, "quantity": "Int64"})
    stated = {
        "dataset": "GLBX.MDP3", "schema": "statistics", "stype_in": "parent", "symbols": ["ZL.FUT"],
        "start": pd.Timestamp("2024-07-01", tz="UTC"), "end": pd.Timestamp("2024-07-06", tz="UTC"), **header,
    }  # fmt: skip
    return write_records(path, statistics_records(frame), mappings=mappings, **stated)  # type: ignore[arg-type]


def examined(directory: Path, *rows: dict, **header: object) -> Examined:
    found = STATISTICS.examine(content(statistics_file(directory / "zl.dbn.zst", rows, **header)), NOW)
    assert found.rows == len(found.kept) + len(found.rejected) + sum(found.outside.values())
    return found


# -- what is kept -----------------------------------------------------------------------------------------------------


def test_a_record_belongs_to_the_trade_date_on_which_it_was_received(tmp_path: Path) -> None:
    found = examined(
        tmp_path,
        record("2024-07-02 18:32:07.662441160", "2024-07-02"),
        record("2024-07-03 01:10", "2024-07-02", OPEN_INTEREST, 108593),  # 20:10 of the 2nd in Chicago
        record("2024-07-05 23:05", "2024-07-05", VOLUME, 5),  # a Friday evening
    )
    kept = found.kept.set_index("stat_type")
    assert kept["date"].dt.strftime("%m-%d").to_dict() == {
        "settlement_price": "07-02", "open_interest": "07-03", "cleared_volume": "07-08",
    }  # fmt: skip
    assert kept["ref_date"].dt.strftime("%m-%d").tolist() == ["07-02", "07-02", "07-05"]
    assert (kept["symbol"] == "ZLZ4").all()
    assert (kept["root"] == "ZL").all()
    assert kept.loc["settlement_price", "ts_recv"] == pd.Timestamp("2024-07-02 18:32:07.662441", tz="UTC")
    assert kept.loc["settlement_price", "price"] == 45.5
    assert pd.isna(kept.loc["settlement_price", "quantity"])
    assert kept.loc["open_interest", "quantity"] == 108593


def test_none_is_null_and_nought_is_nought(tmp_path: Path) -> None:
    kept = examined(
        tmp_path,
        record("2024-07-02 18:32", "2024-07-02", value=None),
        record("2024-07-02 18:33", "2024-07-02", value=0.0),
        record("2024-07-03 01:10", "2024-07-02", OPEN_INTEREST, None),
        record("2024-07-03 01:11", "2024-07-02", OPEN_INTEREST, 0),
    ).kept
    assert kept["price"].tolist()[1] == 0
    assert kept["price"].isna().tolist() == [True, False, True, True]
    assert kept["quantity"].tolist()[3] == 0
    assert kept["quantity"].isna().tolist() == [True, True, True, False]


def test_spreads_and_other_statistics_are_counted_and_left_out(tmp_path: Path) -> None:
    found = examined(
        tmp_path,
        record("2024-07-02 18:32", "2024-07-02", instrument_id=12),
        record("2024-07-02 18:32", None, LOW, 45.0),
        record("2024-07-02 18:33", "2024-07-02"),
    )
    assert (len(found.kept), found.outside) == (1, {"ZLZ4-ZLH5": 1, "statistics of type 4": 1})


def test_what_is_published_after_a_contracts_last_day_is_still_its_own(tmp_path: Path) -> None:
    """The mapping ends with the last day, and open interest of that day comes after it."""
    ended = mapping_of(("ZLN4", "2024-07-01", "2024-07-03", 11), ("ZLX5", "2024-07-05", "2024-07-06", 11))
    found = examined(
        tmp_path,
        record("2024-07-03 01:10", "2024-07-02", OPEN_INTEREST, 7),
        record("2024-07-05 18:32", "2024-07-05"),
        mappings=ended,
    )
    assert found.kept["symbol"].tolist() == ["ZLN4", "ZLX5"]


# -- what is rejected -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "row"),
    [
        ("unknown_contract", record("2024-07-02 18:32", "2024-07-02", instrument_id=99)),
        ("unknown_update_action", record("2024-07-02 18:32", "2024-07-02", update_action=7)),
        ("no_trade_date_of_reference", record("2024-07-02 18:32", None)),
        ("reference_after_receipt", record("2024-07-02 18:32", "2024-07-03")),
        ("price_out_of_bounds", record("2024-07-02 18:32", "2024-07-02", value=4550.0)),
        ("negative_price", record("2024-07-02 18:32", "2024-07-02", value=-0.5)),
        ("quantity_out_of_bounds", record("2024-07-02 18:32", "2024-07-02", OPEN_INTEREST, -1)),
    ],
)
def test_a_row_that_cannot_be_is_rejected_with_its_reason(tmp_path: Path, reason: str, row: dict) -> None:
    sound = [record(f"2024-07-02 18:3{n}", "2024-07-02") for n in range(3, 6)]
    found = examined(tmp_path, row, *sound)
    assert (found.rejected["reason"].tolist(), found.rejected["source_row"].tolist()) == ([reason], [0])
    assert len(found.kept) == 3
    assert found.rejected["detail"].str.contains("stat_type=").all()


def test_of_two_records_of_one_instant_the_last_counts(tmp_path: Path) -> None:
    at = "2024-07-02 18:32:07.000000100", "2024-07-02 18:32:07.000000900"
    found = examined(tmp_path, record(at[0], "2024-07-02"), record(at[1], "2024-07-02", value=45.6))
    assert (found.kept["price"].tolist(), found.rejected["reason"].tolist()) == ([45.6], ["repeated_at_once"])


def test_what_is_before_the_first_trade_date_is_rejected(tmp_path: Path) -> None:
    found = examined(
        tmp_path, record("2010-06-04 18:32", "2010-06-04"), start=pd.Timestamp("2010-06-01", tz="UTC"),
        end=pd.Timestamp("2010-06-30", tz="UTC"), mappings=mapping_of(("ZLN0", "2010-06-01", "2010-06-30", 11)),
    )  # fmt: skip
    assert found.rejected["reason"].tolist() == ["before_first_trade_date"]


def test_prices_in_another_unit_refuse_the_file(tmp_path: Path) -> None:
    with pytest.raises(ImplausibleValuesError, match="a hundred times too large"):
        examined(tmp_path, record("2024-07-02 18:32", "2024-07-02", value=4550.0))


def test_statistics_of_continuous_symbols_are_refused_with_the_way_out(tmp_path: Path) -> None:
    by_volume = mapping_of(("ZL.v.0", "2024-07-01", "2024-07-06", 11))
    with pytest.raises(UnsupportedSchemaError, match=r"Request them by parent \(ZL\.FUT\) or raw symbol"):
        examined(
            tmp_path, record("2024-07-02 18:32", "2024-07-02"), stype_in="continuous", symbols=None, mappings=by_volume
        )


def test_a_header_without_symbols_needs_the_symbology_beside_it(tmp_path: Path) -> None:
    with pytest.raises(UnresolvedSymbolsError, match=r"symbology\.json"):
        examined(tmp_path, record("2024-07-02 18:32", "2024-07-02"), mappings=ZLZ4.iloc[:0])


def test_a_file_of_bars_is_another_kinds(tmp_path: Path) -> None:
    with pytest.raises(LaterFeatureError):
        STATISTICS.examine(content(zl_file(tmp_path / "zl.dbn.zst")), NOW)


# -- tables -----------------------------------------------------------------------------------------------------------

CSV = """ts_recv,instrument_id,ts_ref,stat_type,price,quantity,stat_flags,update_action,symbol
2024-07-02T18:32:07.662441160Z,11,2024-07-02T00:00:00Z,3,45.5,9223372036854775807,2,1,ZLZ4
2024-07-03T01:10:00Z,11,2024-07-02,9,,108593,,1,ZLZ4
2024-07-03T01:11:00Z,11,2024-07-02,9,9223372036.854775807,108594,255,1,ZLZ4
"""


def test_a_csv_file_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "zl.statistics.csv"
    path.write_text(CSV)
    kept = STATISTICS.examine(content(path), NOW).kept
    assert kept["quantity"].astype(object).where(kept["quantity"].notna(), None).tolist() == [None, 108593, 108594]
    assert kept["price"].isna().tolist() == [False, True, True]
    assert kept["stat_flags"].astype(object).where(kept["stat_flags"].notna(), None).tolist() == [2, None, 255]
    path.write_text(CSV.replace(",symbol", "").replace(",ZLZ4", ""))
    with pytest.raises(LayoutError, match="says whose records these are"):
        STATISTICS.examine(content(path), NOW)
    named = path.rename(tmp_path / "zl.statistics.ZLZ4.csv")
    assert STATISTICS.examine(content(named), NOW).kept["symbol"].tolist() == ["ZLZ4"] * 3


# -- together ---------------------------------------------------------------------------------------------------------


def together(directory: Path, *parts: tuple[Sequence[dict], dict[str, object]]) -> Landed:
    files, symbols, found = [], [], {}
    for number, (rows, header) in enumerate(parts):
        path = statistics_file(directory / f"{number}.dbn", rows, **header)
        made = STATISTICS.examine(content(path), NOW)
        file = LandedFile(
            f"hash {number}", number, path.name, 1, made.dataset, made.schema, made.stype_in, made.start, made.end,
            made.rows, len(made.kept), 0, 0, NOW,
        )  # fmt: skip
        files.append(file)
        found[file.file_hash] = made
        symbols.append(made.symbols.assign(file_hash=file.file_hash))
    return Landed(files, pd.concat(symbols, ignore_index=True), lambda file: found[file.file_hash])


FIRST, SECOND = record("2024-07-02 18:32", "2024-07-02"), record("2024-07-03 18:32", "2024-07-03", value=46.0)
JULY_3 = {"start": pd.Timestamp("2024-07-03", tz="UTC"), "end": pd.Timestamp("2024-07-04", tz="UTC")}


def test_a_later_file_wins_and_takes_away_what_it_does_not_state(tmp_path: Path) -> None:
    restated = record("2024-07-03 18:32", "2024-07-03", value=46.5)
    landed = together(
        tmp_path, ([FIRST, SECOND, record("2024-07-03 19:00", "2024-07-03")], {}), ([restated], dict(JULY_3))
    )
    rows = STATISTICS.read("statistics", EVER, landed)
    assert rows["price"].tolist() == [45.5, 46.5]
    assert rows["source_file"].astype(str).tolist() == ["0.dbn", "1.dbn"]
    before = Landed(landed.files[:1], landed.symbols, landed.examined)
    changed = STATISTICS.corrections(landed.files[1], before).set_index("ts_event")
    assert changed["symbol"].unique().tolist() == ["ZLZ4 settlement_price 2024-07-03"]
    assert "price=46.5" in changed["new_text"].iloc[0]
    assert changed["new_text"].isna().tolist() == [False, True]
    back = STATISTICS.returns(landed.files[1], landed)
    assert back["old_text"].isna().tolist() == [False, True]


def test_only_the_asked_trade_dates_are_read(tmp_path: Path) -> None:
    landed = together(tmp_path, ([FIRST, SECOND], {}))
    third = [(np.datetime64("2024-07-03"), np.datetime64("2024-07-03"))]
    assert STATISTICS.read("statistics", third, landed)["price"].tolist() == [46.0]
    assert STATISTICS.trade_dates(landed.files, landed).astype(str).tolist() == [f"2024-07-0{n}" for n in range(1, 6)]


real = pytest.mark.skipif(not FIXTURES.is_dir(), reason="the vendor's files are not here")


@real
def test_the_vendors_own_records_are_read(tmp_path: Path) -> None:
    path = tmp_path / "cl.statistics.CLK0.csv"
    path.write_bytes((FIXTURES / "real_csv" / "CLK0_statistics_golden.csv").read_bytes())
    found = STATISTICS.examine(content(path), NOW)
    assert (len(found.kept), len(found.rejected)) == (9, 0)
    assert found.kept["price"].min() == -37.63
    sample = STATISTICS.examine(content(FIXTURES / "databento-python" / "test_data.statistics.dbn.zst"), NOW)
    assert sample.outside == {"statistics of type 8": 3, "statistics of type 5": 1}
