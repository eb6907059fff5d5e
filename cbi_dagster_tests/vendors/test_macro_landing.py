"""Macro files through the same door as bars: verified, taken once, all or nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import TABLES
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables import ops
from cbi_dagster.home import Home
from cbi_dagster.vendors.files import DeliveryError, TruncatedFileError
from cbi_dagster.vendors.macro import UnitConflictError
from cbi_dagster_tests.properties.worlds import World
from cbi_dagster_tests.vendors.small_files import zl_file

MACRO_SOURCE = "landing.macro"
HEADER = "series_id,date,value,available_at,unit,source\n"
MONDAY = "SB,2024-07-01,20.1,2024-07-01T20:00:00Z,USc/lb,ICE\n"
TUESDAY = "SB,2024-07-02,20.3,2024-07-02T20:00:00Z,USc/lb,ICE\n"
MONDAY_REVISED = "SB,2024-07-01,20.2,2024-07-03T20:00:00Z,USc/lb,ICE\n"
WEEK = [(np.datetime64("2024-07-01", "D"), np.datetime64("2024-07-05", "D"))]


class Door:
    """A warehouse, its landing, and macro files written from lines."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        platform = Home(directory).open().ready()
        self.warehouse, self.landing = platform.warehouse, platform.landing

    def land_bars(self) -> None:
        self.landing.land([zl_file(self.directory / "zl.ohlcv-1h.dbn.zst")])

    def write(self, name: str, *lines: str) -> Path:
        path = self.directory / name
        path.write_text(HEADER + "".join(lines), encoding="utf-8")
        return path

    def land(self, name: str, *lines: str) -> pd.DataFrame:
        return self.landing.land([self.write(name, *lines)]).files

    def values(self) -> list[float]:
        return list(self.landing.read(MACRO_SOURCE, WEEK)["value"])

    def ledger(self) -> pd.Series:
        rows = self.warehouse.ledger_rows({MACRO_SOURCE})
        return rows.set_index("partition_key")["row_count"]

    def everything(self) -> dict[str, pd.DataFrame]:
        return {name: self.warehouse.read(table).to_pandas() for name, table in TABLES.items()}


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def require_unchanged(door: Door, before: dict[str, pd.DataFrame]) -> None:
    for name, rows in door.everything().items():
        pd.testing.assert_frame_equal(rows, before[name], obj=name)


def test_vintages_are_known_from_their_trade_date_on(door: Door) -> None:
    files = door.land("sugar.macro.csv", MONDAY, TUESDAY)
    assert files[["outcome", "vendor_schema", "kept_rows"]].to_numpy().tolist() == [["landed", "macro", 2]]
    rows = door.landing.read(MACRO_SOURCE, WEEK)
    assert rows["value"].tolist() == [20.1, 20.3]
    assert rows["trade_date_available"].astype(str).tolist() == ["2024-07-02", "2024-07-03"]
    assert door.ledger().to_dict() == {"2024-07-02": 1, "2024-07-03": 1}
    assert door.landing.read(MACRO_SOURCE, [(WEEK[0][0], np.datetime64("2024-07-02", "D"))])["value"].tolist() == [20.1]


def test_the_ledger_is_the_same_whether_bars_or_series_come_first(door: Door, tmp_path: Path) -> None:
    door.land_bars()
    door.land("sugar.macro.csv", MONDAY, TUESDAY)
    other = Door(tmp_path / "other")
    other.land("sugar.macro.csv", MONDAY, TUESDAY)
    other.land_bars()
    hashes = [one.warehouse.ledger_rows({MACRO_SOURCE})[["partition_key", "content_hash"]] for one in (door, other)]
    pd.testing.assert_frame_equal(*hashes)


def test_vintages_that_the_ledger_lacks_are_in_it_after_the_next_landing(door: Door) -> None:
    door.land("sugar.macro.csv", MONDAY, TUESDAY)
    known = door.ledger()
    World(door.directory).by_other_hands("DELETE FROM ops.partition_ledger WHERE partition_key = '2024-07-03'")
    door.land_bars()
    pd.testing.assert_series_equal(door.ledger(), known)


def test_landing_a_file_twice_changes_nothing(door: Door) -> None:
    door.land_bars()
    door.land("sugar.macro.csv", MONDAY)
    before = door.everything()
    assert door.land("again.macro.csv", MONDAY)["outcome"].tolist() == ["already landed"]
    require_unchanged(door, before)


def test_a_later_vintage_is_one_more_row(door: Door) -> None:
    door.land_bars()
    door.land("sugar.macro.csv", MONDAY, TUESDAY)
    unchanged = door.warehouse.ledger_rows({MACRO_SOURCE}).set_index("partition_key")["content_hash"]
    door.land("revision.macro.csv", MONDAY_REVISED)
    assert sorted(door.values()) == [20.1, 20.2, 20.3]
    now = door.warehouse.ledger_rows({MACRO_SOURCE}).set_index("partition_key")["content_hash"]
    assert now.drop("2024-07-04").equals(unchanged)


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ([MONDAY.rstrip("\n")], TruncatedFileError),
        ([MONDAY, TUESDAY.replace("USc/lb", "USD/kg")], UnitConflictError),
        ([TUESDAY.replace("USc/lb", "USD/kg")], UnitConflictError),
        ([MONDAY.replace("20.1", "dear")], DeliveryError),
    ],
    ids=["truncated", "two units", "another unit than before", "no number"],
)
def test_a_broken_file_changes_nothing_and_takes_its_delivery_with_it(
    door: Door, lines: list[str], error: type[DeliveryError]
) -> None:
    door.land_bars()
    door.land("sugar.macro.csv", MONDAY)
    before = door.everything()
    sound = door.write("sound.macro.csv", TUESDAY)
    with pytest.raises(error):
        door.landing.land([sound, door.write("broken.macro.csv", *lines)])
    require_unchanged(door, before)


def test_rejected_rows_are_kept_with_their_reason(door: Door) -> None:
    door.land_bars()
    door.land("sugar.macro.csv", MONDAY, TUESDAY.replace("2024-07-02T20", "2024-07-01T20"), ",2024-07-01,1,,x,y\n")
    rows = to_frame(ops.QUARANTINE, door.warehouse.read(ops.QUARANTINE))
    assert set(rows["reason"]) == {"available_before_reference_date", "null_series_id"}
    assert set(rows["table_name"]) == {MACRO_SOURCE}
    assert rows["detail"].str.contains("value=20.3").any()
    assert door.values() == [20.1]


def test_an_archived_file_that_was_changed_is_not_believed(door: Door) -> None:
    door.land_bars()
    door.land("sugar.macro.csv", MONDAY)
    archived = next((door.directory / "landing").rglob("*.macro.csv"))
    archived.write_text(HEADER + MONDAY.replace("20.1", "99"), encoding="utf-8")
    with pytest.raises(DeliveryError, match="sha256"):
        door.values()


def test_series_lie_beside_bars_in_a_directory(door: Door, tmp_path: Path) -> None:
    delivery = tmp_path / "delivery"
    delivery.mkdir()
    zl_file(delivery / "zl.ohlcv-1h.dbn.zst")
    (delivery / "sugar.macro.csv").write_text(HEADER + MONDAY, encoding="utf-8")
    report = door.landing.land([delivery])
    assert sorted(report.files["vendor_schema"]) == ["macro", "ohlcv-1h"]
    assert report.ignored == ()
    assert door.values() == [20.1]
