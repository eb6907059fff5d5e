"""Deliveries as people have them: each lands, or is refused in words that say why. And wrong ones that once got in.

The folders of ../shared/cases where they are present, and the same situations made here.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zstandard

from cbi_dagster.catalog import TABLES
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.market_data import DATABENTO_CONDITIONS, OHLCV_1D, OHLCV_1H, OHLCV_1M, OHLCV_UTC_1D
from cbi_dagster.vendors.files import (
    ConcatenatedFileError,
    HashMismatchError,
    ImplausibleValuesError,
    LaterFeatureError,
    LayoutError,
    LiveRecordingError,
    UnresolvedSymbolsError,
)
from cbi_dagster_tests.properties.worlds import World
from cbi_dagster_tests.vendors.small_files import DATA, mapping_of, restated_header, zl_file

pytestmark = pytest.mark.usefixtures("files_stay_open")

CASES = DATA.parent / "cases"
PARENT_JOB = DATA / "databento_batches" / "ES.FUT_1m_job"
COLUMNS = "ts_event,symbol,open,high,low,close,volume\n"
ESH4 = mapping_of(("ESH4", "2024-01-07", "2024-01-13", 5602))
WEEK = {"start": pd.Timestamp("2024-01-07", tz="UTC"), "end": pd.Timestamp("2024-01-13", tz="UTC")}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "home")


def case(name: str) -> Path:
    if not (CASES / name).is_dir():
        pytest.skip("the small deliveries are not here")
    return CASES / name


def rows_of(world: World, table_id: str) -> pd.DataFrame:
    return to_frame(TABLES[table_id], world.warehouse.read(TABLES[table_id]))


def sessions(world: World) -> pd.DataFrame:
    for table in (OHLCV_1M, OHLCV_1H, OHLCV_UTC_1D, OHLCV_1D):
        world.builder.build(table, None, "test", only_stale=True)
    return rows_of(world, OHLCV_1D.id)


def days(frame: pd.DataFrame, symbol: str) -> list[str]:
    return frame.loc[frame["symbol"] == symbol, "date"].dt.strftime("%m-%d").tolist()


def es_week() -> pd.DataFrame:
    """The 115 hours of a week of one contract, sessions from 17:00 to 16:00 in Chicago."""
    hours = pd.date_range("2024-01-07 23:00", "2024-01-12 22:00", freq="h", tz="UTC", inclusive="left")
    hours = hours[hours.hour != 22]
    return pd.DataFrame(
        {"ts_event": hours, "instrument_id": 5602, "open": 4800.25, "high": 4801.5, "low": 4799.0, "close": 4800.75,
         "volume": 1200}
    )  # fmt: skip


def es_file(path: Path, bars: pd.DataFrame | None = None, mappings: pd.DataFrame = ESH4, **header: object) -> Path:
    stated = {"stype_in": "raw_symbol", **WEEK, **header}
    return zl_file(path, es_week() if bars is None else bars, mappings, **stated)


def vendor_csv(bars: pd.DataFrame, symbol: str = "ESH4") -> str:
    """CSV as the vendor's portal writes it: pretty prices and times, symbols mapped."""
    rows = bars.assign(rtype=34, publisher_id=1, symbol=symbol)
    rows["ts_event"] = rows["ts_event"].dt.strftime("%Y-%m-%dT%H:%M:%S.000000000Z")
    columns = ["ts_event", "rtype", "publisher_id", "instrument_id", "open", "high", "low", "close", "volume", "symbol"]
    return rows[columns].to_csv(index=False, float_format="%.9f", lineterminator="\n")


# -- what lands -------------------------------------------------------------------------------------------------------


def require_the_week(world: World) -> None:
    assert len(rows_of(world, "ops.quarantine")) == 0
    assert days(sessions(world), "ESH4") == ["01-08", "01-09", "01-10", "01-11", "01-12"]


def test_portal_csv_lands_compressed_or_not(world: World, tmp_path: Path) -> None:
    name, text = "glbx-mdp3-20240107-20240112.ohlcv-1h", vendor_csv(es_week()).encode()
    (tmp_path / f"{name}.csv").write_bytes(text)
    world.land(tmp_path / f"{name}.csv")
    hashes = world.hashes()
    for ending, compress in ((".zst", zstandard.compress), (".gz", gzip.compress)):
        (tmp_path / f"{name}.csv{ending}").write_bytes(compress(text))
        other = World(tmp_path / ending)
        other.land(tmp_path / f"{name}.csv{ending}")
        assert other.hashes().equals(hashes)
    require_the_week(world)


def test_one_file_per_symbol_or_day_lands_also_in_a_batch_zip(world: World, tmp_path: Path) -> None:
    bars = es_week()
    with zipfile.ZipFile(tmp_path / "job.zip", "w") as archive:
        for day in range(7, 13):
            own = bars[bars["ts_event"].dt.day == day]
            name = f"GLBX-1/glbx-mdp3-202401{day:02}.ohlcv-1h.ESH4.csv.zst"
            archive.writestr(name, zstandard.compress(vendor_csv(own).encode()))
    report = world.land(tmp_path / "job.zip")
    assert report.files["outcome"].tolist() == ["landed"] * 6
    require_the_week(world)


@pytest.mark.parametrize("name", ["portal_csv_zst", "split_by_symbol", "all_symbols_with_symbology"])
def test_the_given_weeks_land(world: World, name: str) -> None:
    world.land(case(name))
    require_the_week(world)


def test_symbols_of_a_part_of_the_period_cover_what_their_own_mapping_says(world: World, tmp_path: Path) -> None:
    mapping = mapping_of(("ESH4", "2024-01-07", "2024-01-10", 5602), ("ESM4", "2024-01-07", "2024-01-13", 7))
    bars = es_week()
    expiring = bars[bars["ts_event"] < pd.Timestamp("2024-01-10", tz="UTC")]
    both = pd.concat([expiring, bars.assign(instrument_id=7)])
    path = es_file(tmp_path / "es.ohlcv-1h.dbn", both, mapping)
    restated_header(path, partial=["ESH4"])
    world.land(path)
    found = sessions(world)
    # The hours of 10 January that lie on the 9th in UTC are of a session that no mapping covers.
    assert days(found, "ESH4") == ["01-08", "01-09"]
    assert days(found, "ESM4") == ["01-08", "01-09", "01-10", "01-11", "01-12"]
    held = rows_of(world, "ops.held_back")
    assert held[["symbol", "reason", "bar_rows"]].to_numpy().tolist() == [["ESH4", "session_not_covered", 1]]


def test_contracts_that_list_or_expire_in_the_period_land(world: World) -> None:
    world.land(case("raw_symbol_partial"))
    found = sessions(world)
    assert found["symbol"].unique().tolist() == ["ZLH4"]  # ZLK4 has no bar in it
    assert len(rows_of(world, "ops.held_back")) == len(rows_of(world, "ops.quarantine")) == 0


@pytest.mark.skipif(not PARENT_JOB.is_dir(), reason="the real job is not here")
def test_a_real_parent_job_lands_with_the_vendors_word_on_its_days(world: World) -> None:
    # Its manifest lists the file of the job itself, which is not here.
    names = ("REBUILT_header_ES.FUT_ohlcv-1m.dbn.zst", "symbology.json", "condition.json")
    place = world.path.parent / "job"
    place.mkdir()
    for name in names:
        (place / name).write_bytes((PARENT_JOB / name).read_bytes())
    report = world.land(place)
    assert report.files["outcome"].tolist() == ["landed", "landed"]
    assert len(sessions(world)) == 2
    world.builder.build(DATABENTO_CONDITIONS, None, "test", only_stale=True)
    said = rows_of(world, DATABENTO_CONDITIONS.id)
    assert len(said) == len(json.loads((place / "condition.json").read_bytes()))
    assert set(world.land(place).files["outcome"]) == {"already landed"}


def test_an_unknown_symbol_matters_if_it_is_of_the_universe(world: World, tmp_path: Path) -> None:
    for symbol in ("ESZ9", "ES.FUT", "ES.v.0"):
        path = restated_header(es_file(tmp_path / "es.ohlcv-1h.dbn"), not_found=[symbol])
        with pytest.raises(UnresolvedSymbolsError, match=f"does not know {symbol}"):
            world.land(path)
    world.land(restated_header(es_file(tmp_path / "es.ohlcv-1h.dbn"), not_found=["XYZ.v.0"]))
    require_the_week(world)


def test_a_header_without_mappings_takes_those_of_the_symbology_beside_it(world: World, tmp_path: Path) -> None:
    path = es_file(tmp_path / "glbx-mdp3-20240107-20240112.ohlcv-1h.dbn.zst", mappings=ESH4.iloc[:0], symbols=[])
    with pytest.raises(UnresolvedSymbolsError, match=r"symbology\.json"):
        world.land(path)
    stated = {"result": {"ESH4": [{"d0": "2024-01-07", "d1": "2024-01-13", "s": "5602"}]}, "stype_in": "raw_symbol"}
    (tmp_path / "symbology.json").write_text(json.dumps(stated))
    world.land(path)
    (tmp_path / "symbology.json").unlink()  # it is kept with the file
    require_the_week(world)


def promised(directory: Path, *names: str) -> None:
    """A manifest with the hashes of these files."""
    entries = []
    for name in names:
        data = (directory / name).read_bytes()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        entries.append({"filename": name, "size": len(data), "hash": digest})
    (directory / "manifest.json").write_text(json.dumps({"files": entries}))


@pytest.mark.parametrize("name", ["symbology.json", "condition.json"])
def test_what_is_used_of_the_vendors_notes_is_what_the_manifest_promises(
    world: World, tmp_path: Path, name: str
) -> None:
    path = es_file(tmp_path / "glbx-mdp3-20240107-20240112.ohlcv-1h.dbn.zst", mappings=ESH4.iloc[:0], symbols=[])
    stated = {"result": {"ESH4": [{"d0": "2024-01-07", "d1": "2024-01-13", "s": "5602"}]}, "stype_in": "raw_symbol"}
    (tmp_path / "symbology.json").write_text(json.dumps(stated))
    (tmp_path / "condition.json").write_text(
        json.dumps([{"date": "2024-01-08", "condition": "available", "last_modified_date": None}])
    )
    promised(tmp_path, path.name, "symbology.json", "condition.json")
    data = (tmp_path / name).read_text()
    (tmp_path / name).write_text(data.replace("2024-01-08", "2024-01-09").replace("ESH4", "ESH5"))
    with pytest.raises(HashMismatchError, match=name):
        world.land(tmp_path)
    (tmp_path / name).write_text(data)
    assert world.land(tmp_path).files["promised"].tolist() == [True, True]
    require_the_week(world)


def without_symbol(path: Path) -> Path:
    pd.read_csv(io.StringIO(vendor_csv(es_week()))).drop(columns="symbol").to_csv(path, index=False)
    return path


def test_a_csv_without_symbols_lands_where_something_says_whose_bars_they_are(world: World, tmp_path: Path) -> None:
    path = without_symbol(tmp_path / "glbx-mdp3-20240107-20240112.ohlcv-1h.csv")
    with pytest.raises(LayoutError, match=r"ask for map_symbols, or put the symbology\.json"):
        world.land(path)
    named = World(tmp_path / "named")
    named.land(without_symbol(tmp_path / "glbx-mdp3-20240107-20240112.ohlcv-1h.ESH4.csv"))
    stated = {"result": {"ESH4": [{"d0": "2024-01-07", "d1": "2024-01-13", "s": "5602"}]}, "stype_in": "raw_symbol"}
    (tmp_path / "symbology.json").write_text(json.dumps(stated))
    world.land(path)
    assert named.hashes().equals(world.hashes())
    (tmp_path / "symbology.json").unlink()  # it is kept with the file
    require_the_week(world)
    path.write_text(path.read_text().replace(",5602,", ",5603,", 1))
    (tmp_path / "symbology.json").write_text(json.dumps(stated))
    with pytest.raises(LayoutError, match="instrument_id of data row 0 is no symbol on that day"):
        world.land(path)


def said_of(path: Path, conditions: dict[str, str]) -> Path:
    days = [{"date": day, "condition": said, "last_modified_date": None} for day, said in conditions.items()]
    path.write_text(json.dumps(days))
    return path


def test_the_vendors_last_word_on_a_day_holds_and_weekends_are_mondays(world: World, tmp_path: Path) -> None:
    first = {"2024-01-06": "missing", "2024-01-07": "available", "2024-01-08": "available", "2024-01-09": "pending"}
    world.land(said_of(tmp_path / "condition.json", first))
    later = said_of(tmp_path / "later.condition.json", {"2024-01-08": "degraded"})
    world.land(later)
    world.builder.build(DATABENTO_CONDITIONS, None, "test", only_stale=True)
    said = rows_of(world, DATABENTO_CONDITIONS.id).sort_values("utc_date")
    assert said["condition"].tolist() == ["missing", "available", "degraded", "pending"]
    assert said["date"].dt.day.tolist() == [8, 8, 8, 9]
    world.platform.landing.unland(later.name)
    world.builder.build(DATABENTO_CONDITIONS, None, "test", only_stale=True)
    assert rows_of(world, DATABENTO_CONDITIONS.id).set_index("utc_date")["condition"]["2024-01-08"] == "available"


def test_a_delivery_that_was_copied_without_the_vendors_notes_lands(world: World, tmp_path: Path) -> None:
    path = es_file(tmp_path / "es.ohlcv-1h.dbn.zst")
    said_of(tmp_path / "condition.json", {"2024-01-08": "available"})
    promised(tmp_path, path.name, "condition.json")
    (tmp_path / "condition.json").unlink()
    assert world.land(tmp_path).files["promised"].tolist() == [True]


def test_files_of_other_schemas_are_named_and_left_and_the_bars_land(world: World, tmp_path: Path) -> None:
    es_file(tmp_path / "es.ohlcv-1h.dbn.zst")
    trades = es_file(tmp_path / "es.trades.dbn.zst", es_week().iloc[:0], schema="trades")
    report = world.land(tmp_path)
    assert [said.partition(":")[0] for said in report.left] == ["es.trades.dbn.zst"]
    with pytest.raises(LaterFeatureError, match="left for a later feature"):
        world.land(trades)
    require_the_week(world)


def test_given_statistics_land_beside_bars(world: World) -> None:
    report = world.land(case("statistics_beside_bars"))
    files = report.files.set_index("vendor_schema")
    assert (report.left, files.loc["statistics", "outside_rows"]) == ((), 4)  # bids and a high of the session
    require_the_week(world)


def by_month(directory: Path) -> Path:
    directory.mkdir()
    weekdays = pd.bdate_range("2024-01-02", "2024-04-30")
    for month in range(1, 5):
        own = weekdays[weekdays.month == month].strftime("%Y-%m-%d")
        rows = "".join(f"{day},ZLZ4,50.0,51.0,49.0,50.5,1000\n" for day in own)
        (directory / f"zl-2024-{month:02}.ohlcv-1d.csv").write_text(COLUMNS + rows)
    return directory


@pytest.mark.parametrize("given", [True, False])
def test_files_cover_the_closed_hours_around_their_rows(world: World, tmp_path: Path, given: bool) -> None:
    world.land(case("daily_csv_by_month") if given else by_month(tmp_path / "months"))
    found = sessions(world)
    assert {"02-01", "03-01", "04-01"} <= set(days(found, "ZLZ4"))
    assert len(rows_of(world, "ops.held_back")) == 0


def test_a_file_does_not_cover_a_session_that_lies_before_its_rows(world: World, tmp_path: Path) -> None:
    """ES trades on Sunday evening, which is a UTC day of its own."""
    text = "ts_event,symbol,open,high,low,close,volume\n2024-01-08,ESH4,4800,4801,4799,4800,7\n"
    (tmp_path / "es.ohlcv-1d.csv").write_text(text)
    world.land(tmp_path / "es.ohlcv-1d.csv")
    assert len(sessions(world)) == 0
    assert rows_of(world, "ops.held_back")["reason"].tolist() == ["session_not_covered"]


def test_the_period_in_a_vendors_file_name_is_covered(world: World, tmp_path: Path) -> None:
    thin = es_week().iloc[[*range(5), *range(30, 60)]]
    for name, expected in (("es", []), ("glbx-mdp3-20240107-20240112", ["01-08", "01-09", "01-10"])):
        (tmp_path / f"{name}.ohlcv-1h.csv").write_text(vendor_csv(thin.iloc[:-3]))
        home = World(tmp_path / name)
        home.land(tmp_path / f"{name}.ohlcv-1h.csv")
        assert days(sessions(home), "ESH4") == (expected or ["01-08", "01-09"])


# -- what a rejected row says -----------------------------------------------------------------------------------------


def test_a_rejected_row_completes_no_session(world: World) -> None:
    place = case("rejected_row_completes_session")
    world.land(place / "a.ohlcv-1h.dbn.zst")
    world.land(place / "b.ohlcv-1h.csv")
    assert rows_of(world, "ops.quarantine")["reason"].tolist() == ["off_grid_timestamp"]
    assert "03-01" not in days(sessions(world), "ES.v.0")


def test_a_rejected_row_gives_no_span_and_no_mapping(world: World, tmp_path: Path) -> None:
    bars = pd.concat([es_week().iloc[:5], es_week().iloc[[9, 40]].assign(volume=0, instrument_id=9)])
    (tmp_path / "es.ohlcv-1h.csv").write_text(vendor_csv(bars))
    world.land(tmp_path / "es.ohlcv-1h.csv")
    (file,) = rows_of(world, "ops.landed_files").itertuples()
    assert (file.kept_rows, file.rejected_rows) == (5, 2)
    assert (file.span_start, file.span_end) == (bars["ts_event"].iloc[0], pd.Timestamp("2024-01-08 04:00", tz="UTC"))
    assert rows_of(world, "ops.landed_symbols")["instrument_id"].tolist() == [5602]


# -- bars that are taken back -----------------------------------------------------------------------------------------


def restatement(tmp_path: Path) -> tuple[Path, Path]:
    bars = es_week()
    busted = bars.assign(high=bars["high"].where(bars.index != 50, 9999.0))
    return (
        es_file(tmp_path / "1.ohlcv-1h.dbn.zst", busted),
        es_file(tmp_path / "2.ohlcv-1h.dbn.zst", bars[bars.index != 50]),
    )


@pytest.mark.parametrize("given", [True, False])
def test_a_bar_that_a_later_file_states_no_longer_is_gone(world: World, tmp_path: Path, given: bool) -> None:
    first, second = sorted(case("busted_bar_removed").iterdir()) if given else restatement(tmp_path)
    world.land(first)
    world.land(second)
    (row,) = rows_of(world, "ops.corrections").itertuples()
    assert row.old_high > 9000
    assert np.isnan(row.new_high)
    assert pd.isna(row.new_volume)
    fresh = World(tmp_path / "fresh")
    fresh.land(second)
    names = ["symbol", "date", "close", "high", "volume"]
    pd.testing.assert_frame_equal(sessions(world)[names], sessions(fresh)[names])
    assert rows_of(world, OHLCV_1H.id)["high"].max() < 9000


def test_a_bar_that_a_later_file_states_wrongly_stays_as_it_was(world: World, tmp_path: Path) -> None:
    first, _ = restatement(tmp_path)
    bars = es_week()
    bars.loc[50, "volume"] = 0
    world.land(first)
    report = world.land(es_file(tmp_path / "3.ohlcv-1h.dbn.zst", bars))
    assert report.rejected["reason"].tolist() == ["non_positive_volume"]
    assert report.corrections.empty


@pytest.mark.parametrize("rows", [0, 114])
def test_csv_and_limited_files_take_nothing_back(world: World, tmp_path: Path, rows: int) -> None:
    first, _ = restatement(tmp_path)
    world.land(first)
    left = es_week().drop(index=50)
    if rows:
        path = restated_header(es_file(tmp_path / "2.ohlcv-1h.dbn", left), limit=rows)
    else:
        path = tmp_path / "glbx-mdp3-20240107-20240112.ohlcv-1h.csv"
        path.write_text(vendor_csv(left))
    assert world.land(path).corrections.empty


# -- what is refused --------------------------------------------------------------------------------------------------


def concatenated(tmp_path: Path) -> Path:
    data = [path.read_bytes() for path in restatement(tmp_path)]
    (tmp_path / "cat.ohlcv-1h.dbn.zst").write_bytes(b"".join(data))
    return tmp_path / "cat.ohlcv-1h.dbn.zst"


def live(tmp_path: Path) -> Path:
    return restated_header(es_file(tmp_path / "live.ohlcv-1h.dbn"), end=None)


def fixed_precision(tmp_path: Path) -> Path:
    bars = es_week()
    for name in ("open", "high", "low", "close"):
        bars[name] *= 1e9
    (tmp_path / "glbx-mdp3-20240108.ohlcv-1h.csv").write_text(vendor_csv(bars))
    return tmp_path / "glbx-mdp3-20240108.ohlcv-1h.csv"


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize(
    ("name", "make", "error", "said"),
    [
        ("concatenated", concatenated, ConcatenatedFileError, "two DBN files, one after the other"),
        ("live_recording", live, LiveRecordingError, "a recording of the live feed"),
        ("fixed_precision_prices", fixed_precision, ImplausibleValuesError, "units of 1e-9.*pretty_px"),
    ],
)
def test_what_is_no_delivery_of_bars_is_refused_for_what_it_is(
    world: World,
    tmp_path: Path,
    given: bool,
    name: str,
    make: Callable[[Path], Path],
    error: type[Exception],
    said: str,
) -> None:
    with pytest.raises(error, match=said):
        world.land(case(name) if given else make(tmp_path))
    assert len(rows_of(world, "ops.landed_files")) == 0
    assert not [path for path in (world.path / "landing").rglob("*") if path.is_file()]
