"""Landed files judged and read again under other settings: as if they had been landed now."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cbi_dagster.catalog import LANDING_SOURCES, TABLES
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables import ops
from cbi_dagster.catalog.versions import CodeVersion
from cbi_dagster.config.universe import Universe, load_universe
from cbi_dagster.reports.status import refused_files
from cbi_dagster.vendors.archive import Archive
from cbi_dagster.vendors.decoded import Decoded
from cbi_dagster.vendors.files import ImplausibleValuesError, UnreadableFileError
from cbi_dagster.vendors.landing import Landing
from cbi_dagster.warehouse.code import CodeAccount
from cbi_dagster.warehouse.duckdb import DuckDBWarehouse
from cbi_dagster.warehouse.overlay import Overlay
from cbi_dagster_tests.properties.worlds import World
from cbi_dagster_tests.vendors.small_files import ZL_ROLL, hourly, mapping_of, zl_bars, zl_file

SOURCE = "landing.ohlcv_1h"
CL = mapping_of(("CL.v.0", "2024-07-01", "2024-07-06", 31))
#: What says nothing of when something was done.
BOOKS = {
    ops.LANDED_FILES: ["source_file", "landing_sequence", "kept_rows", "rejected_rows", "outside_rows"],
    ops.LANDED_SYMBOLS: ["symbol", "root", "mapping_start", "mapping_end", "instrument_id"],
    ops.QUARANTINE: ["table_name", "symbol", "ts_event", "reason"],
    ops.CORRECTIONS: ["symbol", "ts_event", "old_close", "new_close"],
    ops.PARTITION_LEDGER: ["table_name", "partition_key", "content_hash", "row_count", "code_version"],
}


def opened(home: Path, universe: Universe, version: str, parts: dict[str, str]) -> Landing:
    """The landing of a directory by code of a version."""
    warehouse = DuckDBWarehouse(home / "warehouse.duckdb")
    warehouse.ensure(TABLES.values())
    versions = dict.fromkeys(LANDING_SOURCES, CodeVersion(version, parts))
    archive, decoded = Archive(home / "landing"), Decoded(home / "decoded")
    return Landing(warehouse, archive, decoded, universe, CodeAccount(lambda: versions, f"files {version}"))


def without_oil(home: Path) -> Landing:
    whole = load_universe()
    products = [product for product in whole.products if product.root != "CL"]
    return opened(home, whole.model_copy(update={"products": products}), "1", {})


def with_oil(home: Path) -> Landing:
    return opened(home, load_universe(), "2", {"setting universe.products.CL.tick_size": "x"})


def books(landing: Landing) -> dict[str, pd.DataFrame]:
    found = {}
    for table, names in BOOKS.items():
        rows = to_frame(table, landing._warehouse.read(table))[names]
        found[table.id] = rows.astype({name: object for name in names if rows[name].dtype == "category"})
    return {name: rows.sort_values(list(rows.columns), ignore_index=True) for name, rows in found.items()}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """A file of soybean and crude oil with a faulty bar of each, and one that corrects a bar of crude oil."""
    oil = hourly("2024-07-01", 48, 31, 80.0)
    bars = pd.concat([zl_bars(), oil], ignore_index=True)
    bars.loc[[0, len(bars) - 1], "volume"] = 0
    first = zl_file(tmp_path / "a.ohlcv-1h.dbn.zst", bars, pd.concat([ZL_ROLL, CL]))
    later = oil.iloc[[20]].assign(close=lambda frame: frame["high"])
    start = later["ts_event"].iloc[0]
    end = start + pd.Timedelta(hours=1)
    return [first, zl_file(tmp_path / "b.ohlcv-1h.dbn.zst", later, CL, start=start, end=end)]


def test_a_market_that_is_added_is_found_in_the_files_that_were_landed_before(
    files: list[Path], tmp_path: Path
) -> None:
    without_oil(tmp_path / "home").land(files)
    landing = with_oil(tmp_path / "home")
    assert landing.stale() == {SOURCE: "setting changed: universe.products.CL.tick_size"}
    found = landing.read_anew()
    assert {source: (result.files, result.confirmed) for source, result in found.items()} == {SOURCE: (2, 2)}
    assert landing.stale() == {}
    fresh = with_oil(tmp_path / "fresh")
    fresh.land(files)
    for name, rows in books(fresh).items():
        assert len(rows), name
        pd.testing.assert_frame_equal(books(landing)[name], rows, obj=name)


def test_what_comes_out_equal_is_confirmed_and_not_written(files: list[Path], tmp_path: Path) -> None:
    before = with_oil(tmp_path)
    before.land(files)
    written = before._warehouse.ledger_by_table([SOURCE])[SOURCE]
    landing = opened(tmp_path, load_universe(), "3", {})
    assert landing.read_anew()[SOURCE].changed == 0
    after = landing._warehouse.ledger_by_table([SOURCE])[SOURCE]
    assert (after.written_at == written.written_at).all()
    assert (after.verified_at > written.verified_at).all()
    assert set(after.code_versions) == {"3"}


def test_a_ledger_that_was_emptied_by_other_hands_is_made_anew_from_the_files(tmp_path: Path) -> None:
    world = World(tmp_path / "home")
    world.land(zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst"))
    before = world.hashes()
    world.by_other_hands("DELETE FROM ops.partition_ledger")
    assert world.builder.plan().landed == {SOURCE: "the ledger has lost what was landed"}
    world.platform.landing.read_anew()
    assert world.hashes().equals(before)


def test_files_are_read_anew_over_a_warehouse_that_stays_as_it_is(files: list[Path], tmp_path: Path) -> None:
    without_oil(tmp_path).land(files)
    landing = with_oil(tmp_path)
    before = books(landing)
    over = landing.over(Overlay(landing._warehouse))
    over.read_anew()
    assert len(books(over)["ops.landed_symbols"]) > len(before["ops.landed_symbols"])
    assert all(rows.equals(before[name]) for name, rows in books(landing).items())


def test_a_kept_file_that_is_gone_is_named_and_nothing_changes(files: list[Path], tmp_path: Path) -> None:
    without_oil(tmp_path).land(files)
    landing = with_oil(tmp_path)
    before = books(landing)
    next((tmp_path / "landing").rglob("*.zst")).unlink()
    with pytest.raises(UnreadableFileError, match="is missing from the archive"):
        landing.read_anew()
    assert all(rows.equals(before[name]) for name, rows in books(landing).items())
    assert SOURCE in landing.stale()


def test_a_withdrawn_file_stays_withdrawn(files: list[Path], tmp_path: Path) -> None:
    before = without_oil(tmp_path / "home")
    before.land(files)
    before.unland("b.ohlcv-1h.dbn.zst")
    landing = with_oil(tmp_path / "home")
    assert landing.read_anew()[SOURCE].files == 1
    fresh = with_oil(tmp_path / "fresh")
    fresh.land(files[:1])
    ledger = ops.PARTITION_LEDGER.id
    pd.testing.assert_frame_equal(books(landing)[ledger], books(fresh)[ledger])
    register = to_frame(ops.LANDED_FILES, landing._warehouse.read(ops.LANDED_FILES))
    assert register["withdrawn_at"].notna().tolist() == [False, False, True]
    assert landing.land(files).files["outcome"].tolist() == ["already landed", "landed"]
    fresh.land(files)
    pd.testing.assert_frame_equal(books(landing)[ledger], books(fresh)[ledger])


def stricter(home: Path, version: str, most: float) -> Landing:
    """Rules under which no price of soybean oil may be above `most`."""
    whole = load_universe()
    products = [
        product.model_copy(update={"price_bounds": (1.0, most)} if product.root == "ZL" else {})
        for product in whole.products
    ]
    return opened(home, whole.model_copy(update={"products": products}), version, {})


def test_a_kept_file_that_stricter_rules_refuse_counts_for_nothing_and_stops_no_other(tmp_path: Path) -> None:
    start = pd.Timestamp("2024-07-02 14:00", tz="UTC")
    dear = zl_bars().iloc[[38]].assign(open=4000.0, high=4000.0, low=4000.0, close=4000.0)
    sound = zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst")
    strange = zl_file(tmp_path / "dear.ohlcv-1h.dbn.zst", dear, ZL_ROLL, start=start, end=start + pd.Timedelta("1h"))
    stricter(tmp_path / "home", "1", 5000.0).land([sound, strange])
    landing, fresh = (stricter(tmp_path / name, "2", 100.0) for name in ("home", "fresh"))
    fresh.land([sound])
    with pytest.raises(ImplausibleValuesError):
        fresh.land([strange])
    (said,) = landing.read_anew()[SOURCE].refused
    assert said.startswith("dear.ohlcv-1h.dbn.zst: ")
    assert "cbi unland" in said
    assert refused_files(landing._warehouse) == (said,)
    assert landing.stale() == {}
    ledger = ops.PARTITION_LEDGER.id
    pd.testing.assert_frame_equal(books(landing)[ledger], books(fresh)[ledger])
    # It is no longer known, and is refused as by a fresh warehouse.
    with pytest.raises(ImplausibleValuesError):
        landing.land([strange])
    # Rules that take it again give it back.
    assert stricter(tmp_path / "home", "3", 5000.0).read_anew()[SOURCE].refused == ()
    assert refused_files(landing._warehouse) == ()
    stricter(tmp_path / "home", "4", 100.0).read_anew()
    assert stricter(tmp_path / "home", "4", 100.0).unland("dear.ohlcv-1h.dbn.zst").returned.empty
    assert refused_files(landing._warehouse) == ()


def test_a_failure_without_a_name_is_one_of_the_file_and_nothing_changes(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_oil(tmp_path).land(files)
    landing = with_oil(tmp_path)

    def broken(content: object, landed_at: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(landing._kind_of["ohlcv-1h"], "examine", broken)
    with pytest.raises(UnreadableFileError, match=r"reading it failed \(ZeroDivisionError"):
        landing.read_anew()
    assert SOURCE in landing.stale()
