"""A delivery at the door: taken once and whole, with every row accounted for, or refused with nothing changed."""

from __future__ import annotations

import itertools
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cbi_dagster.catalog import TABLES, Table
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.market_data import OHLCV_1D, OHLCV_1H
from cbi_dagster.home import Home
from cbi_dagster.vendors import landed as landed_files
from cbi_dagster.vendors import register
from cbi_dagster.vendors.databento import landed_bars
from cbi_dagster.vendors.databento.writing import write_manifest
from cbi_dagster.vendors.files import (
    CorruptFileError,
    DeliveryError,
    HashMismatchError,
    TruncatedFileError,
    UnreadableFileError,
    UnsupportedSchemaError,
)
from cbi_dagster.vendors.landing import DatasetMismatchError
from cbi_dagster_tests.properties.worlds import World
from cbi_dagster_tests.vendors.small_files import ZL_ROLL, hourly, mapping_of, zl_bars, zl_file

CL = mapping_of(("CL.v.0", "2024-07-01", "2024-07-06", 31))
SOURCE = "landing.ohlcv_1h"
#: ZL_ROLL switches to contract 22 on 3 July at 00:00 UTC; the hours from 22:00 UTC on belong to its first session.
LATE_EVENING_OF_THE_OLD_CONTRACT = 2


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "home")


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A week of ZL, landed and built; for tests that change nothing."""
    world = World(tmp_path_factory.mktemp("landed"))
    world.land(zl_file(world.path / "zl.ohlcv-1h.dbn.zst"))
    build(world, OHLCV_1H, OHLCV_1D)
    return world


def everything(world: World) -> dict[str, object]:
    """All rows of all tables, and the names of the archived files."""
    found: dict[str, object] = {name: world.warehouse.read(table).to_pylist() for name, table in TABLES.items()}
    return found | {"archive": sorted(path.name for path in (world.path / "landing").rglob("*") if path.is_file())}


def require_unchanged(world: World, before: dict[str, object]) -> None:
    after = everything(world)
    assert [name for name, rows in before.items() if after[name] != rows] == []


def build(world: World, *tables: Table) -> None:
    for table in tables:
        world.builder.build(table, None, "test", only_stale=True)


def bars(world: World) -> pa.Table:
    """Content of the landed hourly bars, without the columns that say which file they came from."""
    build(world, OHLCV_1H)
    return world.warehouse.read(OHLCV_1H, columns=[column.name for column in OHLCV_1H.content_columns])


def rows_of(world: World, table_id: str) -> pd.DataFrame:
    return to_frame(TABLES[table_id], world.warehouse.read(TABLES[table_id]))


def landed_hashes(world: World) -> pd.Series:
    return world.hashes()[SOURCE]


def sessions(world: World, symbol: str) -> list[str]:
    build(world, OHLCV_1H, OHLCV_1D)
    rows = rows_of(world, OHLCV_1D.id)
    return rows.loc[rows["symbol"] == symbol, "date"].dt.strftime("%m-%d").tolist()


# -- what a delivery leaves behind ------------------------------------------------------------------------------------


def test_every_row_of_a_delivery_is_kept_rejected_for_a_reason_or_left_out(world: World, tmp_path: Path) -> None:
    faulty = hourly("2024-07-01 12:00", 7, 31, 80.0)
    faulty.loc[0, ["high", "low"]] = faulty.loc[0, ["low", "high"]].to_numpy()
    faulty.loc[1, "close"] = np.nan
    faulty.loc[2, "volume"] = 0
    faulty.loc[3, "ts_event"] += pd.Timedelta(minutes=7)
    twice = hourly("2024-07-01", 12, 31, 80.0).iloc[[5]].assign(volume=1)
    weekend = hourly("2024-07-05 22:00", 2, 22, 44.0)  # Friday evening in Chicago is Saturday's trade date
    sound = hourly("2024-07-01", 12, 31, 80.0)
    later = hourly("2024-07-01 19:00", 90, 31, 80.0)
    qm, spread = hourly("2024-07-01", 5, 41), hourly("2024-07-01", 3, 42)
    mapping = pd.concat(
        [ZL_ROLL, CL, mapping_of(("QM.v.0", "2024-07-01", "2024-07-06", 41), ("ZL-ZM", "2024-07-01", "2024-07-06", 42))]
    )
    given = pd.concat([zl_bars(), weekend, sound, twice, faulty, later, qm, spread], ignore_index=True)
    report = world.land(zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst", given, mapping))

    (file,) = report.files.itertuples()
    assert (file.outcome, file.file_rows) == ("landed", len(given))
    assert file.file_rows == file.kept_rows + file.rejected_rows + file.outside_rows
    assert report.outside == {"QM.v.0": 5, "ZL-ZM": 3}
    reasons = {
        "ohlc_order": 1, "undefined_price": 1, "non_positive_volume": 1, "off_grid_timestamp": 1, "duplicate_bar": 1,
        "weekend_trade_date": 2,
    }  # fmt: skip
    refused = rows_of(world, "ops.quarantine")
    assert refused["reason"].value_counts().to_dict() == reasons
    assert set(refused["file_hash"]) == {file.file_hash}
    pd.testing.assert_series_equal(
        given.loc[refused["source_row"], "ts_event"].reset_index(drop=True), refused["ts_event"], check_names=False
    )

    stored = bars(world)
    build(world, OHLCV_1D)
    assert len(stored) == file.kept_rows == len(given) - 8 - sum(reasons.values())
    used = int(rows_of(world, OHLCV_1D.id)["bars_seen"].sum())
    held = rows_of(world, "ops.held_back").groupby(["symbol", "reason"])["bar_rows"].sum().to_dict()
    boundary = (rows_of(world, "ops.quarantine")["reason"] == "roll_boundary").sum()
    # CL's session of 1 July opened before the file begins, at 22:00 UTC.
    assert held == {("CL.v.0", "session_not_covered"): 12 + 3 + 3}
    assert boundary == LATE_EVENING_OF_THE_OLD_CONTRACT
    assert used + sum(held.values()) + boundary == len(stored)
    runs = rows_of(world, "ops.ingestion_runs")
    (run,) = runs[runs["event_id"].str.startswith("landing:")].itertuples()
    assert (run.rows_in, run.rows_out, run.rows_rejected) == (len(given), len(stored), sum(reasons.values()))


def test_a_delivery_of_other_markets_is_taken_and_holds_nothing(world: World, tmp_path: Path) -> None:
    mapping = mapping_of(("QM.v.0", "2024-07-01", "2024-07-06", 41))
    report = world.land(zl_file(tmp_path / "qm.ohlcv-1h.dbn.zst", hourly("2024-07-01", 5, 41), mapping))
    assert report.outside == {"QM.v.0": 5}
    assert report.files[["kept_rows", "outside_rows"]].to_numpy().tolist() == [[0, 5]]
    assert len(bars(world)) == 0


def test_landing_a_delivery_twice_changes_nothing(world: World, tmp_path: Path) -> None:
    file = zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst")
    world.land(file)
    build(world, OHLCV_1H, OHLCV_1D)
    before = everything(world)
    assert world.land(file).files["outcome"].tolist() == ["already landed"]
    assert world.land(shutil.copy(file, tmp_path / "other.dbn.zst")).files["outcome"].tolist() == ["already landed"]
    require_unchanged(world, before)
    assert not world.builder.plan([OHLCV_1H]).tables


def test_a_file_that_is_twice_in_a_delivery_is_taken_and_counted_once(world: World, tmp_path: Path) -> None:
    file = zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst")
    report = world.land(file, shutil.copy(file, tmp_path / "copy.dbn.zst"))
    assert report.files["outcome"].tolist() == ["landed", "already landed"]
    assert report.files["kept_rows"].sum() == len(zl_bars())
    assert len(rows_of(world, "ops.landed_files")) == 1


def test_two_deliveries_of_the_same_bars_do_not_double_them(world: World, tmp_path: Path) -> None:
    world.land(zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst"))
    stored, hashes = bars(world), landed_hashes(world)
    tuesday = (zl_bars()["ts_event"].dt.day == 2).to_numpy()
    again = [
        zl_file(tmp_path / "plain.ohlcv-1h.dbn"),
        zl_file(
            tmp_path / "tuesday.ohlcv-1h.dbn.zst", zl_bars()[tuesday],
            start=pd.Timestamp("2024-07-02", tz="UTC"), end=pd.Timestamp("2024-07-03", tz="UTC"),
        ),
    ]  # fmt: skip
    report = world.land(*again)
    assert report.files["outcome"].tolist() == ["landed", "landed"]
    assert report.corrections.empty
    assert landed_hashes(world).equals(hashes)
    assert not world.builder.plan([OHLCV_1H]).tables
    assert bars(world) == stored


@pytest.mark.parametrize("rows", [1, 30, 100])
def test_what_lands_does_not_depend_on_how_many_rows_are_held_at_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    # Of the last file's days one is as it was, in one a bar is another, and of two one bar each is gone.
    rest = zl_bars().drop(index=[30, 70]).assign(volume=lambda bars: bars["volume"] + (bars.index == 50))
    cl = zl_file(tmp_path / "cl.ohlcv-1h.dbn.zst", zl_bars().assign(instrument_id=31), CL)
    files = [zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst"), cl, restating(tmp_path / "fix.ohlcv-1h.dbn.zst", 50.0)]
    files.append(zl_file(tmp_path / "less.ohlcv-1h.dbn.zst", rest))

    def landed(world: World) -> list[pd.DataFrame]:
        changed = world.land(*files).corrections
        returned = Home(world.path).open().ready().landing.unland("less.ohlcv-1h.dbn.zst").returned
        return [frame.drop(columns="landed_at").reset_index(drop=True) for frame in (changed, returned)]

    whole = landed(world)
    for module in (landed_files, landed_bars, register):
        monkeypatch.setattr(module, "ROWS_AT_ONCE", rows)
    other = World(tmp_path / "other")
    for one, at_once in zip(landed(other), whole, strict=True):
        pd.testing.assert_frame_equal(one, at_once)
    assert landed_hashes(other).equals(landed_hashes(world))
    changed, returned = whole
    assert changed["new_close"].isna().tolist() == [False, False, False, True, True]
    assert len(returned) == len(changed) - 1


def test_a_file_of_many_months_lands_as_its_months_do(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    months = pd.date_range("2024-03-01", "2024-08-01", freq="MS", tz="UTC")
    mapping = mapping_of(("ZL.v.0", "2024-03-01", "2024-08-01", 11))
    rows = hourly("2024-03-01", 24 * 153)

    def part(name: str, start: pd.Timestamp, end: pd.Timestamp) -> Path:
        own = rows[(rows["ts_event"] >= start) & (rows["ts_event"] < end)]
        return zl_file(tmp_path / f"{name}.ohlcv-1h.dbn.zst", own, mapping, start=start, end=end)

    fix = restating(tmp_path / "fix.ohlcv-1h.dbn.zst", 50.0)
    whole = part("whole", months[0], months[-1])
    world.land(*(part(f"{start:%m}", start, end) for start, end in itertools.pairwise(months)), fix)
    for module in (landed_files, landed_bars, register):
        monkeypatch.setattr(module, "ROWS_AT_ONCE", 500)
    monkeypatch.setattr(register, "_FEW_ROWS", 100)
    other = World(tmp_path / "other")
    other.land(whole, fix)
    assert landed_hashes(other).equals(landed_hashes(world))
    assert bars(other) == bars(world)


# -- corrections ------------------------------------------------------------------------------------------------------


def restating(path: Path, close: float, mappings: pd.DataFrame = ZL_ROLL) -> Path:
    """A file of the bar of 2 July 14:00 UTC with another close."""
    bar = zl_bars().iloc[[38]].assign(open=close, high=close + 1, low=close - 1, close=close)
    start = bar["ts_event"].iloc[0]
    return zl_file(path, bar, mappings, start=start, end=start + pd.Timedelta(hours=1))


def test_a_later_delivery_wins_for_its_bars_and_is_recorded(world: World, tmp_path: Path) -> None:
    world.land(zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst"))
    before, hashes = bars(world).to_pandas(), landed_hashes(world)
    report = world.land(restating(tmp_path / "fix.ohlcv-1h.dbn.zst", 50.0))
    assert report.files["outcome"].tolist() == ["landed"]

    (correction,) = rows_of(world, "ops.corrections").itertuples()
    old = zl_bars().iloc[38]
    assert (correction.symbol, correction.ts_event, str(correction.date.date())) == (
        "ZL.v.0", pd.Timestamp("2024-07-02 14:00", tz="UTC"), "2024-07-02",
    )  # fmt: skip
    assert (correction.old_close, correction.new_close) == (old["close"], 50.0)
    changed = landed_hashes(world).compare(hashes).index.tolist()
    assert changed == ["2024-07-02"]

    after = bars(world).to_pandas()
    differs = (after != before).any(axis=1)
    assert after.loc[differs, "ts_event"].dt.strftime("%d %H:%M").tolist() == ["02 14:00"]
    assert after.loc[differs, "close"].tolist() == [50.0]


def test_of_deliveries_landed_together_the_last_named_wins(world: World, tmp_path: Path) -> None:
    first = zl_file(tmp_path / "m.ohlcv-1h.dbn.zst")
    second = restating(tmp_path / "a.ohlcv-1h.dbn.zst", 50.0)
    world.land(first, second)
    assert bars(world).to_pandas()["close"].iloc[38] == 50.0
    assert rows_of(world, "ops.corrections")["new_close"].tolist() == [50.0]


def test_a_correction_of_a_correction_is_a_second_record(world: World, tmp_path: Path) -> None:
    world.land(zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst"))
    world.land(restating(tmp_path / "one.ohlcv-1h.dbn.zst", 50.0))
    world.land(restating(tmp_path / "two.ohlcv-1h.dbn.zst", 51.0))
    found = rows_of(world, "ops.corrections").sort_values("new_close")
    assert found[["old_close", "new_close"]].to_numpy().tolist() == [[zl_bars()["close"][38], 50.0], [50.0, 51.0]]
    assert bars(world).to_pandas()["close"].iloc[38] == 51.0


def test_deliveries_that_name_their_files_alike_keep_their_rejected_rows_apart(world: World, tmp_path: Path) -> None:
    files = []
    for number in (1, 2):
        given = zl_bars()
        given.loc[0, "volume"] = 0
        given.loc[5, "volume"] = number
        (tmp_path / str(number)).mkdir()
        files.append(zl_file(tmp_path / str(number) / "zl.ohlcv-1h.dbn.zst", given))
    report = world.land(*files)
    assert report.files["outcome"].tolist() == ["landed", "landed"]
    refused = rows_of(world, "ops.quarantine")
    assert refused["reason"].tolist() == ["non_positive_volume"] * 2
    assert set(refused["file_hash"]) == set(report.files["file_hash"])


# -- sessions that vendor files split ---------------------------------------------------------------------------------


def test_a_session_that_a_file_splits_is_held_back_until_the_next_file_arrives(world: World, tmp_path: Path) -> None:
    midnight = pd.Timestamp("2024-07-03", tz="UTC")  # two hours into CL's session of 3 July
    given = hourly("2024-07-01", 5 * 24 - 3, 31, 80.0)
    halves = given["ts_event"] < midnight
    world.land(zl_file(tmp_path / "one.ohlcv-1h.dbn.zst", given[halves], CL, end=midnight))
    assert sessions(world, "CL") == ["07-02"]
    held = rows_of(world, "ops.held_back").set_index("date")
    assert held.loc["2024-07-03", ["bar_rows", "reason"]].tolist() == [2, "session_not_covered"]

    world.land(zl_file(tmp_path / "two.ohlcv-1h.dbn.zst", given[~halves], CL, start=midnight))
    # Crude oil has no settlement on 4 July: its bars belong to the day after.
    assert sessions(world, "CL") == ["07-02", "07-03", "07-05"]
    rows = rows_of(world, OHLCV_1D.id).set_index("date")
    own = given[(given["ts_event"] >= midnight - pd.Timedelta(hours=2)) & (given["ts_event"] < "2024-07-03T22:00Z")]
    assert rows.loc["2024-07-03", ["open", "high", "low", "close", "volume"]].tolist() == [
        own["open"].iloc[0], own["high"].max(), own["low"].min(), own["close"].iloc[-1], own["volume"].sum(),
    ]  # fmt: skip
    # What remains is the session whose opening was never delivered.
    assert rows_of(world, "ops.held_back")["date"].dt.strftime("%m-%d").tolist() == ["07-01"]


# -- the same bars in other clothes -----------------------------------------------------------------------------------


def as_csv(directory: Path, dbn: Path, given: pd.DataFrame) -> Path:
    given.to_csv(directory / "zl.ohlcv-1h.csv", index=False)
    return directory / "zl.ohlcv-1h.csv"


def as_parquet(directory: Path, dbn: Path, given: pd.DataFrame) -> Path:
    given.to_parquet(directory / "zl.ohlcv-1h.parquet")
    return directory / "zl.ohlcv-1h.parquet"


def as_batch_zip(directory: Path, dbn: Path, given: pd.DataFrame) -> Path:
    manifest = write_manifest(dbn.parent, [dbn])
    with zipfile.ZipFile(directory / "GLBX-1.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(dbn, f"GLBX-1/{dbn.name}")
        archive.write(manifest, "GLBX-1/manifest.json")
        archive.writestr("GLBX-1/condition.json", "[]")
    return directory / "GLBX-1.zip"


def as_directory(directory: Path, dbn: Path, given: pd.DataFrame) -> Path:
    return write_manifest(dbn.parent, [dbn]).parent


@pytest.mark.parametrize("clothed", [as_csv, as_parquet, as_batch_zip, as_directory])
def test_the_same_bars_arrive_the_same_in_every_format(
    world: World, tmp_path: Path, clothed: Callable[[Path, Path, pd.DataFrame], Path]
) -> None:
    given = zl_bars()
    (tmp_path / "job").mkdir()
    dbn = zl_file(tmp_path / "job" / "zl.ohlcv-1h.dbn.zst", end=given["ts_event"].iloc[-1] + pd.Timedelta(hours=1))
    world.land(dbn)
    other = World(tmp_path / "other")
    report = other.land(clothed(tmp_path, dbn, given.assign(symbol="ZL.v.0")))
    assert report.files["kept_rows"].sum() == len(given)
    found = bars(other)
    assert found == bars(world)
    assert len(found) == len(given)
    assert landed_hashes(other).equals(landed_hashes(world))


# -- what is refused --------------------------------------------------------------------------------------------------


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def bit_flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def unknown_symbology(path: Path) -> None:
    zl_file(path, stype_in="instrument_id")


def other_than_the_manifest(path: Path) -> None:
    write_manifest(path.parent, [path])
    zl_file(path, zl_bars().assign(volume=7))


def known_to_the_manifest_alone(path: Path) -> None:
    write_manifest(path.parent, [path])
    path.unlink()
    zl_file(path.with_name("unlisted.ohlcv-1h.dbn.zst"), zl_bars().assign(volume=9))


def of_another_dataset(path: Path) -> None:
    zl_file(path, dataset="SIM.DEMO")


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (truncated, TruncatedFileError),
        (emptied, TruncatedFileError),
        (bit_flipped, CorruptFileError),
        (unknown_symbology, UnsupportedSchemaError),
        (other_than_the_manifest, (HashMismatchError, TruncatedFileError)),
        (known_to_the_manifest_alone, UnreadableFileError),
        (of_another_dataset, DatasetMismatchError),
    ],
)
def test_a_broken_delivery_is_a_named_error_and_changes_nothing(
    landed: World, tmp_path: Path, spoil: Callable[[Path], None], error: type[Exception]
) -> None:
    before = everything(landed)
    delivery = tmp_path / "delivery"
    delivery.mkdir()
    week = pd.Timedelta(days=7)
    sound = zl_bars().assign(ts_event=zl_bars()["ts_event"] + week)
    mapping = ZL_ROLL.assign(start_date=ZL_ROLL["start_date"] + week, end_date=ZL_ROLL["end_date"] + week)
    period = {"start": pd.Timestamp("2024-07-08", tz="UTC"), "end": pd.Timestamp("2024-07-13", tz="UTC")}
    zl_file(delivery / "a.ohlcv-1h.dbn.zst", sound, mapping, **period)
    broken = zl_file(delivery / "b.ohlcv-1h.dbn.zst", zl_bars().assign(volume=8))
    spoil(broken)
    with pytest.raises(error) as caught:
        landed.land(delivery)
    if issubclass(caught.type, DeliveryError):
        assert "b.ohlcv-1h.dbn.zst" in str(caught.value)
    require_unchanged(landed, before)


def test_all_broken_files_of_a_delivery_are_named_at_once(world: World, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        zl_file(tmp_path / f"{name}.ohlcv-1h.dbn.zst")
    truncated(tmp_path / "a.ohlcv-1h.dbn.zst")
    emptied(tmp_path / "c.ohlcv-1h.dbn.zst")
    with pytest.raises(ExceptionGroup, match="2 of 3 files are refused") as caught:
        world.land(tmp_path)
    assert [error.file.name[0] for error in caught.value.exceptions] == ["a", "c"]
    assert len(rows_of(world, "ops.landed_files")) == 0


def test_repeated_bars_are_quarantined_and_the_first_is_kept(world: World, tmp_path: Path) -> None:
    given = pd.concat([zl_bars(), zl_bars().iloc[[3, 4]].assign(volume=9999)], ignore_index=True)
    report = world.land(zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst", given))
    assert report.rejected["reason"].tolist() == ["duplicate_bar"] * 2
    assert report.rejected["source_row"].tolist() == [84, 85]
    assert bars(world)["volume"].to_pylist() == zl_bars()["volume"].tolist()


# -- the archive ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [bit_flipped, truncated, Path.unlink])
def test_a_damaged_archive_is_not_believed_and_landing_the_file_again_mends_it(
    world: World, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    file = zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst")
    world.land(file)
    expected = bars(world)
    (archived,) = (path for path in (world.path / "landing").rglob("*") if path.is_file())
    damage(archived)
    later = World(world.path)  # a process that has read a file once keeps its rows for a while
    with pytest.raises(DeliveryError, match="land it once more"):
        later.builder.prepare(OHLCV_1H, None, "test", only_stale=False)
    assert later.land(file).files["outcome"].tolist() == ["already landed"]
    assert bars(later) == expected
    assert archived.read_bytes() == file.read_bytes()
