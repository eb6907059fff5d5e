"""The seventeen training tables of all years of a real delivery: every row accounted for, every target computed anew.

What is expected is computed here from the stored hourly bars, one session after the other, with nothing of the package.
Needs the delivery beside the repository; the package's own tests make what they need and pass without it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import LANDING_SOURCES, TABLES, Table
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.features import DAILY_ML_MATRIX
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D, OHLCV_1H
from cbi_dagster.catalog.tables.ops import HELD_BACK
from cbi_dagster.catalog.tables.training import MES_BAR_TRAINING, MES_TRAINING, ZL_TRAINING
from cbi_dagster_tests.properties.worlds import World
from cbi_dagster_tests.vendors.small_files import REAL_DELIVERY

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not REAL_DELIVERY.is_dir(), reason="the real delivery is not here"),
]

DAILY = (*ZL_TRAINING, *MES_TRAINING)
SESSIONS_AHEAD = {
    "zl": {"1w": 5, "1m": 21, "3m": 63, "6m": 126, "12m": 252},
    "mes": {"1d": 1, "7d": 5, "30d": 21, "3m": 63, "6m": 126, "12m": 252},
}
#: Of these no label is made: sessions that are not what the exchange held.
WITHOUT_LABELS = ("cut", "holed", "doubtful")
SPLITS = ("train", "val", "test")
HOURS = {"1hr": 1, "4hr": 4}
SAME_CONTRACT = 130
"""A number that was last front longer ago, in weekdays, is another contract's."""


@dataclass
class Session:
    """One session of a market: its contract's first and last price, and the last of another contract before it."""

    date: np.datetime64
    contract: int
    first: float
    last: float
    others: dict[int, float]


class Real(World):
    """All that the training tables are made of, of the whole delivery."""

    def rows_of(self, table: Table, symbols: tuple[str, ...] = ()) -> pd.DataFrame:
        return to_frame(table, self.warehouse.read(table, symbols=symbols))

    @cached_property
    def held_back(self) -> pd.DataFrame:
        return self.rows_of(HELD_BACK)

    def hours(self, root: str) -> pd.DataFrame:
        bars = self.rows_of(OHLCV_1H, (f"{root}.v.0",)).sort_values("ts_event", ignore_index=True)
        return bars[bars["session_covered"] & bars["session_instrument_id"].notna()]

    @cached_property
    def sessions(self) -> dict[str, list[Session]]:
        return {root: self._sessions(root) for root in ("ZL", "MES")}

    def _sessions(self, root: str) -> list[Session]:
        found = []
        for date, bars in self.hours(root).groupby("date"):
            contract = int(bars["session_instrument_id"].iloc[0])
            own = bars[bars["instrument_id"] == contract]
            if own.empty:
                continue
            before = bars[bars["ts_event"] < own["ts_event"].iloc[0]]
            others = {int(bar.instrument_id): float(bar.close) for bar in before.itertuples()}
            day = np.datetime64(date, "D")
            found.append(Session(day, contract, float(own["open"].iloc[0]), float(own["close"].iloc[-1]), others))
        return found

    def qualities(self, root: str) -> dict[np.datetime64, str | None]:
        rows = self.rows_of(FUTURES_CONTINUOUS_1D, (root,))
        return dict(zip(rows["date"].to_numpy("datetime64[D]"), rows["session_quality"].astype(object), strict=True))


def factors(sessions: list[Session]) -> list[float]:
    """The forward ratio factor of each session's contract."""
    made: dict[int, tuple[float, np.datetime64]] = {}
    found: list[float] = []
    for at, session in enumerate(sessions):
        before = sessions[at - 1] if at else None
        if before is None:
            factor = 1.0
        elif session.contract == before.contract:
            factor = found[-1]
        else:
            kept, last = made.get(session.contract, (0.0, np.datetime64("1900-01-01")))
            old = session.others.get(before.contract, before.last)
            recent = np.busday_count(last, session.date) <= SAME_CONTRACT
            factor = kept if recent else found[-1] * (old / session.first)
        made[session.contract] = (factor, session.date)
        found.append(factor)
    return found


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Real:
    built = Real(tmp_path_factory.mktemp("real"))
    built.land(*sorted(REAL_DELIVERY.glob("*.ohlcv-1h.dbn.zst")))
    needed = {table.id for table in (*DAILY, *MES_BAR_TRAINING)}
    for name in reversed(TABLES):
        if name in needed:
            needed |= {read.source for read in TABLES[name].reads} - LANDING_SOURCES.keys()
    with built.warehouse.shared_connection():
        for name in built.builder.recipes:
            if name in needed:
                built.builder.build(TABLES[name], None, "test", only_stale=True)
    return built


def named(table: Table) -> tuple[str, str]:
    """The symbol and the horizon of a training table."""
    symbol, _, rest = table.name.partition("_training_prod_allhistory_")
    return symbol, rest


@pytest.mark.parametrize("symbol", ["ZL", "MES"])
def test_every_session_has_a_row_of_the_matrix_warm_ups_included(real: Real, symbol: str) -> None:
    dates = real.rows_of(DAILY_ML_MATRIX, (symbol,))["data_date"].to_numpy("datetime64[D]")
    assert sorted(dates) == [session.date for session in real.sessions[symbol]]
    assert len(dates) > {"ZL": 3_600, "MES": 1_400}[symbol]


@pytest.mark.parametrize("table", DAILY, ids=lambda table: table.name)
def test_rows_are_the_sessions_without_those_that_have_no_label_and_targets_are_as_computed_anew(
    real: Real, table: Table
) -> None:
    symbol, horizon = named(table)
    ahead = SESSIONS_AHEAD[symbol][horizon]
    sessions, quality = real.sessions[symbol.upper()], real.qualities(symbol.upper())
    factor = factors(sessions)
    targets: dict[np.datetime64, tuple[float, np.datetime64]] = {}
    not_matured = of_quality = 0
    for at, session in enumerate(sessions):
        if quality[session.date] in WITHOUT_LABELS:
            of_quality += 1
        elif at + ahead >= len(sessions):
            not_matured += 1
        elif quality[sessions[at + ahead].date] in WITHOUT_LABELS:
            of_quality += 1
        else:
            later = sessions[at + ahead]
            value = later.last * (factor[at + ahead] / factor[at]) / session.last - 1
            targets[session.date] = (value, later.date)
    rows = real.rows_of(table)
    print(f"{table.name}: {len(sessions):,} sessions - {of_quality} of quality - {not_matured} to come = {len(rows):,}")
    assert len(rows) == len(sessions) - of_quality - not_matured
    dates = rows["data_date"].to_numpy("datetime64[D]")
    assert sorted(dates) == sorted(targets)
    assert rows["target_date"].to_numpy("datetime64[D]").tolist() == [targets[day][1].item() for day in dates]
    expected = np.array([targets[day][0] for day in dates])
    np.testing.assert_allclose(rows[f"target_{horizon}"].to_numpy(float), expected, rtol=0, atol=1e-12)
    assert rows[f"target_direction_{horizon}"].tolist() == np.sign(rows[f"target_{horizon}"]).tolist()
    held = real.held_back[real.held_back["table_name"] == table.id]
    assert held["bar_rows"].sum() == of_quality + not_matured
    assert held.loc[held["reason"] == "not_matured", "bar_rows"].sum() == not_matured


@pytest.mark.parametrize("table", DAILY, ids=lambda table: table.name)
def test_no_label_of_a_split_reaches_into_one_of_another(real: Real, table: Table) -> None:
    rows = real.rows_of(table)
    windows = {
        str(split): own[["data_date", "target_date"]].to_numpy("datetime64[D]")
        for split, own in rows.groupby("split", observed=True)
    }
    # The last label of a year that is tested on has not come.
    splits = SPLITS[: 2 if table.name.startswith("mes") and table.name.endswith("12m") else 3]
    assert {*splits, "purged"} == windows.keys()
    for one, other in itertools.combinations(splits, 2):
        starts, ends = windows[one][:, :1], windows[one][:, 1:]
        overlapping = (starts <= windows[other][:, 1]) & (windows[other][:, 0] <= ends)
        assert overlapping.size > 10_000
        assert not overlapping.any(), (one, other)
    # Nothing is purged that could have stayed.
    for start, end in windows["purged"]:
        beside = [((start <= windows[name][:, 1]) & (windows[name][:, 0] <= end)).any() for name in splits]
        assert sum(beside) > 1, (start, end)


@pytest.mark.parametrize("table", MES_BAR_TRAINING, ids=lambda table: table.name)
def test_bars_have_the_return_of_the_bar_right_after_and_minutes_that_never_came_have_none(
    real: Real, table: Table
) -> None:
    _, horizon = named(table)
    rows = real.rows_of(table).sort_values("bar_close_ts", ignore_index=True)
    if horizon not in HOURS:
        assert rows.empty
        return
    hours, quality = real.hours("MES"), real.qualities("MES")
    hours = hours[hours["instrument_id"] == hours["session_instrument_id"]]
    length = pd.Timedelta(hours=HOURS[horizon])
    # Blocks begin with the session, at 17:00 in Chicago.
    wall = hours["ts_event"].dt.tz_convert("America/Chicago").dt.tz_localize(None)
    opened = (wall + pd.Timedelta(hours=7)).dt.normalize() - pd.Timedelta(hours=7)
    closes = hours["ts_event"] + (length - (wall - opened) % length)
    expected, count = {}, 0
    for date, own in hours.assign(closes_at=closes).groupby("date"):
        bars = own.groupby("closes_at")["close"].last()
        count += len(bars)
        for (at, close), (after, later) in itertools.pairwise(bars.items()):
            if after - at == length and quality[np.datetime64(date, "D")] not in WITHOUT_LABELS:
                expected[at] = later / close - 1
    held = real.held_back.loc[real.held_back["table_name"] == table.id, "bar_rows"].sum()
    print(f"{table.name}: {count:,} bars - {held:,} without a next one or of quality = {len(rows):,}")
    assert count - held == len(rows) == len(expected)
    assert rows["bar_close_ts"].tolist() == sorted(expected)
    np.testing.assert_allclose(rows[f"target_{horizon}"], [expected[at] for at in rows["bar_close_ts"]], atol=1e-12)
    splits = {str(name): own for name, own in rows.groupby("split", observed=True)}
    for one, other in itertools.pairwise(SPLITS):
        assert splits[one]["target_ts"].max() < splits[other]["bar_close_ts"].min()
        # A trade date lies between them.
        between = np.busday_count(
            splits[one]["data_date"].max().to_datetime64().astype("datetime64[D]"),
            splits[other]["data_date"].min().to_datetime64().astype("datetime64[D]"),
        )
        assert between > 1
