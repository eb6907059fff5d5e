"""A year of a real vendor delivery, landed and built, with every row accounted for.

Needs the delivery beside the repository; the package's own tests make what they need and pass without it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import databento
import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import TABLES
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D, OHLCV_1D, OHLCV_1H, OHLCV_1M, OHLCV_UTC_1D
from cbi_dagster.config.horizons import load_horizons
from cbi_dagster.config.strict import read_yaml
from cbi_dagster.config.universe import load_universe
from cbi_dagster.market.sessions import business_days, exchange_days, utc_instants
from cbi_dagster.training.labels import labels
from cbi_dagster.vendors.arrivals import LandingReport
from cbi_dagster_tests.properties.worlds import World
from cbi_dagster_tests.vendors.small_files import FIXTURES, REAL_DELIVERY

pytestmark = pytest.mark.skipif(not REAL_DELIVERY.is_dir(), reason="the real delivery is not here")

UNIVERSE = load_universe()
BUILT = (OHLCV_1M, OHLCV_1H, OHLCV_UTC_1D, OHLCV_1D, FUTURES_CONTINUOUS_1D)
#: April to March: both ends split the sessions that open in the evening.
FILES = sorted(REAL_DELIVERY.glob("*.ohlcv-1h.dbn.zst"))[118:130]
FIRST, LAST = np.datetime64("2020-04-02"), np.datetime64("2021-03-31")
#: Of the whole delivery.
FIRST_DAY, LAST_DAY = dt.date(2010, 6, 8), dt.date(2024, 12, 31)
#: The vendor's own day bar of the contract behind ES.v.0 on that UTC day.
DAY, DAY_BAR = "2020-12-28", FIXTURES / "databento-python" / "test_data.ohlcv-1d.dbn.zst"


class Built:
    """Sessions of real files in a warehouse, and what landing said about the files."""

    def __init__(self, path: Path, files: Sequence[Path]) -> None:
        self.world = World(path)
        self.report: LandingReport = self.world.land(*files)
        for table in BUILT:
            self.world.builder.build(table, None, "test", only_stale=True)

    def rows(self, table_id: str) -> pd.DataFrame:
        return to_frame(TABLES[table_id], self.world.warehouse.read(TABLES[table_id]))


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(tmp_path_factory.mktemp("year"), FILES)


@pytest.fixture(scope="module")
def bars(year: Built) -> pd.DataFrame:
    return year.rows(OHLCV_1H.id)


@pytest.fixture(scope="module")
def sessions(year: Built) -> pd.DataFrame:
    return year.rows(OHLCV_1D.id)


def test_every_row_that_came_in_is_stored_or_rejected_for_a_reason_or_of_another_market(
    year: Built, bars: pd.DataFrame
) -> None:
    assert len(FILES) == 12
    came_in, ours = 0, 0
    for path in FILES:  # counted by the vendor's own reader
        symbols = databento.DBNStore.from_file(path).to_df()["symbol"]
        came_in += len(symbols)
        ours += int(symbols.str.partition(".")[0].isin(UNIVERSE.roots).sum())
    files = year.report.files
    assert files["file_rows"].sum() == came_in
    assert files["outside_rows"].sum() == sum(year.report.outside.values()) == came_in - ours
    assert (files["kept_rows"] + files["rejected_rows"] + files["outside_rows"] == files["file_rows"]).all()
    refused = year.rows("ops.quarantine")
    landing = refused[refused["table_name"] == "landing.ohlcv_1h"]
    assert len(bars) == files["kept_rows"].sum() == ours - len(landing)
    assert set(landing["reason"]) <= {"weekend_trade_date"}
    assert len(year.report.corrections) == 0


def test_every_stored_bar_is_in_a_session_or_held_back_or_of_the_other_contract_of_a_roll(
    year: Built, bars: pd.DataFrame, sessions: pd.DataFrame
) -> None:
    held = year.rows("ops.held_back")
    refused = year.rows("ops.quarantine")
    boundary = refused[refused["table_name"] == OHLCV_1D.id]
    assert set(boundary["reason"]) == {"roll_boundary"}
    assert set(held["reason"]) == {"session_not_covered"}
    for root in UNIVERSE.roots:
        symbol = f"{root}.v.0"
        used = sessions.loc[sessions["root"] == root, "bars_seen"].sum()
        left = held.loc[held["symbol"] == symbol, "bar_rows"].sum() + (boundary["symbol"] == symbol).sum()
        assert used + left == (bars["root"] == root).sum() > 0, root
    # The files begin and end in the middle of a session of the markets that open in the evening, and nowhere else.
    assert set(held["date"].dt.strftime("%Y-%m-%d")) == {"2020-04-01", "2021-04-01"}
    assert not held["symbol"].isin(["ZL.v.0", "ZC.v.0"]).any()


def test_a_session_is_of_one_contract_that_the_vendor_names_for_its_date(
    bars: pd.DataFrame, sessions: pd.DataFrame
) -> None:
    own = bars[bars["instrument_id"] == bars["session_instrument_id"].astype("Int64").fillna(-1)]
    contracts = own.groupby(["root", "date"], observed=True)["instrument_id"]
    assert (contracts.nunique() == 1).all()
    named = contracts.first()
    found = sessions.set_index(["root", "date"])["instrument_id"]
    pd.testing.assert_series_equal(found, named.reindex(found.index), check_names=False, check_dtype=False)


def test_sessions_are_those_that_the_exchange_calendar_knows(sessions: pd.DataFrame) -> None:
    inside = sessions[sessions["date"].between(FIRST, LAST)]
    span = np.datetime64(FIRST, "D"), np.datetime64(LAST, "D")
    due = {root: set(pd.DatetimeIndex(business_days(*span, UNIVERSE.calendar(root)))) for root in UNIVERSE.roots}
    seen = inside.groupby("symbol", observed=True)["date"].agg(set)
    differing = {root: (due[root] - seen[root], seen[root] - due[root]) for root in UNIVERSE.roots}
    assert {root: found for root, found in differing.items() if any(found)} == {}


def test_hours_of_the_utc_day_are_the_vendors_day_bar_and_a_session_is_not(
    bars: pd.DataFrame, sessions: pd.DataFrame
) -> None:
    es = bars[bars["symbol"] == "ES.v.0"]
    day = es[es["ts_event"].dt.strftime("%Y-%m-%d") == DAY]
    summed = [day["open"].iloc[0], day["high"].max(), day["low"].min(), day["close"].iloc[-1], day["volume"].sum()]
    assert summed == [3702.75, 3735.0, 3697.25, 3735.0, 718_174]
    if DAY_BAR.is_file():
        vendor = databento.DBNStore.from_file(DAY_BAR).to_df().loc[DAY]
        assert summed == vendor[["open", "high", "low", "close", "volume"]].to_numpy().ravel().tolist()
    session = sessions[(sessions["symbol"] == "ES") & (sessions["date"] == DAY)].iloc[0]
    assert session["volume"] != 718_174
    assert session["open"] != 3702.75


def test_the_adjusted_return_over_a_roll_is_that_of_one_contract(year: Built) -> None:
    rows = year.rows(FUTURES_CONTINUOUS_1D.id)
    zl = rows[rows["symbol"] == "ZL"].sort_values("date", ignore_index=True)
    rolls = zl.index[zl["is_roll"] & zl["roll_gap"].notna()]
    assert len(rolls) >= 4
    factor = zl["adj_factor"]
    assert (factor.diff()[~zl["is_roll"]].fillna(0) == 0).all(), "the factor changes on rolls alone"
    raw = zl["close"] / zl["close"].shift() - 1
    adjusted = zl["adj_close"] / zl["adj_close"].shift() - 1
    np.testing.assert_allclose(adjusted[~zl["is_roll"]], raw[~zl["is_roll"]], rtol=0, atol=1e-12)
    changed = factor[rolls].to_numpy() / factor[rolls - 1].to_numpy()
    np.testing.assert_allclose(1 + adjusted[rolls], (1 + raw[rolls]) * changed, rtol=1e-12)
    assert (np.abs(adjusted[rolls] - raw[rolls]) > 1e-4).any()


def require_own_returns(continuous: pd.DataFrame) -> tuple[int, int]:
    """Every label that starts and ends in one contract is that contract's own return; how many, and how many flipped.

    The instrument is the contract here: none of the delivery is front for half a year.
    """
    counted = flipped = 0
    for horizon in (*load_horizons().daily("ZL"), *load_horizons().daily("MES")):
        rows = continuous[continuous["symbol"] == horizon.symbol].sort_values("date", ignore_index=True)
        found = labels(rows, horizon)
        contract, close = rows["instrument_id"].to_list(), rows["close"].to_list()
        target, day = found[f"target_{horizon.name}"].to_list(), found["target_date"].to_list()
        for start in range(len(rows) - horizon.sessions):
            end = start + horizon.sessions
            if contract[start] != contract[end] or pd.isna(day[start]):
                continue
            assert target[start] == close[end] / close[start] - 1.0, (horizon.name, rows["date"][start])
            counted += 1
            flipped += len(set(contract[start : end + 1])) > 1
    return counted, flipped


def test_a_label_that_starts_and_ends_in_one_contract_is_its_own_return(year: Built) -> None:
    counted, _ = require_own_returns(year.rows(FUTURES_CONTINUOUS_1D.id))
    assert counted > 500


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(tmp_path_factory.mktemp("everything"), sorted(REAL_DELIVERY.glob("*.ohlcv-1h.dbn.zst")))


@pytest.mark.slow
def test_so_are_those_of_all_years(everything: Built) -> None:
    counted, flipped = require_own_returns(everything.rows(FUTURES_CONTINUOUS_1D.id))
    print(f"{counted:,} labels start and end in one contract, {flipped:,} of them with another one between")
    assert flipped > 100


@pytest.mark.slow
def test_sessions_differ_from_those_of_plain_dates_by_holidays_that_were_joined_and_five_of_thin_markets(
    everything: Built,
) -> None:
    bars = everything.rows(OHLCV_1H.id)
    days = exchange_days(utc_instants(bars["ts_event"])).astype("datetime64[ns]")
    roots = bars["root"].astype(object)
    plain = set(zip(roots, days, strict=True))
    moved = bars["date"].to_numpy() != days
    joined = set(zip(roots[moved], days[moved], strict=True))
    found = everything.rows(OHLCV_1D.id)
    now = set(zip(found["symbol"], found["date"].to_numpy(), strict=True))

    def named(keys: set[tuple[str, np.datetime64]]) -> list[str]:
        return sorted(f"{root} {str(day)[:10]}" for root, day in keys)

    for root, day in joined:
        assert day.astype("datetime64[D]").astype(object) in UNIVERSE.calendar(root).joined
    # Nothing was traded on the day itself.
    assert named(now - plain) == ["6L 2012-01-17", "6L 2012-02-21"]
    # The bars are of a contract that the vendor's mapping had left.
    assert named(plain - now - joined) == ["6A 2017-04-17", "6J 2017-04-17", "6L 2015-09-10"]
    print(f"{len(plain):,} plain sessions, {len(now):,} now, {len(plain & joined):,} joined with the next")


@pytest.mark.slow
def test_what_corrects_the_calendar_library_is_so_in_the_hours(everything: Built) -> None:
    bars = everything.rows(OHLCV_1H.id)
    wall = bars["ts_event"].dt.tz_convert("America/Chicago").dt.tz_localize(None)
    last = wall.groupby([bars["root"].astype(object), (wall + pd.Timedelta(hours=7)).dt.date]).max()
    checked = 0
    for group, roots in {"equity": ["ES"], "fx": ["6E"], "energy": ["CL"], "grains": ["ZC", "ZS", "ZL"]}.items():
        for entry in read_yaml("calendar_corrections.yaml")["groups"][group]["corrections"]:
            for was, day in ((was, day) for was, days in entry.items() if was != "source" for day in days):
                for root in roots if FIRST_DAY <= day <= LAST_DAY else []:
                    end = last.get((root, day))
                    checked += 1
                    if was == "closed":
                        assert end is None, (root, day)
                        continue
                    assert end is not None, (root, day)
                    if was == "regular":
                        assert end.hour >= 13, (root, day, end)
                    else:  # the last hour is the one in which trading ends
                        close = pd.Timestamp(f"{day} {was}")
                        assert end <= close <= end + pd.Timedelta(hours=1), (root, day, was, end)
    assert checked > 100
