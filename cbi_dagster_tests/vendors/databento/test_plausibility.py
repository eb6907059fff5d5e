"""Values no market had, and stamps of another zone: a file of them is refused, a bar of them is quarantined."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cbi_dagster.config.universe import load_universe
from cbi_dagster.vendors.databento.bars import screen_bars
from cbi_dagster.vendors.databento.landed_bars import Bars
from cbi_dagster.vendors.files import ImplausibleValuesError, LayoutError
from cbi_dagster.vendors.kinds import Examined
from cbi_dagster_tests.vendors.small_files import REAL_DELIVERY, bar_file, content, hourly

UNIVERSE = load_universe()
NOW = pd.Timestamp("2024-08-01", tz="UTC")
PRICES = ["open", "high", "low", "close"]


def examined(directory: Path, bars: pd.DataFrame) -> Examined:
    bars.to_csv(directory / "zl.ohlcv-1h.csv", index=False)
    return Bars(UNIVERSE).examine(content(directory / "zl.ohlcv-1h.csv"), NOW)


def week() -> pd.DataFrame:
    """The hours of a week of ZL, sessions from 19:00 to 13:20 in Chicago."""
    bars = hourly("2024-07-08", 5 * 24).assign(symbol="ZLZ4")
    return bars[bars["ts_event"].dt.hour < 19].reset_index(drop=True)


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (1e9, r"fixed-precision integers, in units of 1e-9\. .*pretty_px"),
        (1e2, "a hundred times too large"),
        (1e-2, "a hundred times too small"),
        (1e5, "no market had such prices"),
    ],
)
def test_a_file_of_impossible_prices_is_refused_for_its_unit(tmp_path: Path, factor: float, said: str) -> None:
    bars = week()
    bars[PRICES] *= factor
    with pytest.raises(ImplausibleValuesError, match=said):
        examined(tmp_path, bars)


def test_a_market_may_leave_the_range_that_it_ever_had(tmp_path: Path) -> None:
    bars = week()
    bars[PRICES] *= 8  # ZL at 360, its bounds are 10 and 120
    assert len(examined(tmp_path, bars).kept) == len(bars)


@pytest.mark.parametrize(("ahead", "kept"), [(pd.Timedelta(hours=24), True), (pd.Timedelta(hours=25), False)])
def test_a_clock_may_run_a_day_ahead_and_no_more(tmp_path: Path, ahead: pd.Timedelta, kept: bool) -> None:
    bars = week()
    bars.loc[len(bars) - 1, "ts_event"] = NOW + ahead
    bars["ts_event"] = [stamp.isoformat() for stamp in bars["ts_event"]]
    assert examined(tmp_path, bars).rejected.empty is kept


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("high", 4500.0, "price_out_of_bounds"),
        ("low", 0.45, "price_out_of_bounds"),
        ("volume", 20_000_001, "volume_out_of_bounds"),
        ("ts_event", NOW + pd.Timedelta(hours=25), "future_timestamp"),
        ("ts_event", pd.Timestamp("2010-06-04 12:00", tz="UTC"), "before_first_trade_date"),
        ("ts_event", pd.Timestamp("2024-07-09 12:00:00.000000001", tz="UTC"), "off_grid_timestamp"),
    ],
)
def test_a_bar_that_cannot_be_is_quarantined(tmp_path: Path, column: str, value: object, reason: str) -> None:
    bars = week()
    bars.loc[20, column] = value
    bars["ts_event"] = [stamp.isoformat() for stamp in bars["ts_event"]]
    found = examined(tmp_path, bars)
    assert found.rejected[["reason", "source_row"]].to_numpy().tolist() == [[reason, 20]]
    assert len(found.kept) == len(bars) - 1
    assert (found.start, found.end) == (
        pd.Timestamp("2024-07-08", tz="UTC"), pd.Timestamp("2024-07-12 19:00", tz="UTC"),
    )  # fmt: skip


def es_weeks() -> pd.DataFrame:
    """Two weeks of hours of a market that trades around the clock but from 16:00 to 17:00 in Chicago."""
    bars = hourly("2024-07-07 22:00", 12 * 24, level=5500.0).assign(symbol="ESU4")
    wall = bars["ts_event"].dt.tz_convert("America/Chicago")
    trade_dates = (wall + pd.Timedelta(hours=7)).dt.dayofweek
    return bars[(wall.dt.hour != 16) & (trade_dates < 5)].reset_index(drop=True)


@pytest.mark.parametrize("make", [week, es_weeks])
@pytest.mark.parametrize("zone", ["America/New_York", "America/Chicago"])
def test_a_file_in_another_zone_is_refused(tmp_path: Path, make: object, zone: str) -> None:
    bars = make()  # type: ignore[operator]
    assert len(examined(tmp_path, bars).kept) == len(bars)
    local = bars.assign(ts_event=bars["ts_event"].dt.tz_convert(zone).dt.tz_localize(None))
    with pytest.raises(ImplausibleValuesError, match=r"outside the trading hours .* not UTC"):
        examined(tmp_path, local)


def test_only_a_vendors_dataset_is_one(tmp_path: Path) -> None:
    for name in ("MACRO", "glbx", "GLBX.MDP3\t"):
        with pytest.raises(LayoutError, match="no vendor's dataset"):
            examined(tmp_path, week().assign(dataset=name))


@pytest.mark.skipif(not REAL_DELIVERY.is_dir(), reason="the real delivery is not here")
@pytest.mark.slow
def test_no_bar_of_the_real_delivery_is_impossible() -> None:
    reasons: set[str] = set()
    for path in sorted(REAL_DELIVERY.glob("*.dbn.zst")):
        file = bar_file(path)
        now = pd.Timestamp("2026-01-01", tz="UTC")
        found = screen_bars(file.bars, file.schema, UNIVERSE, (file.start, file.end), now)
        reasons |= set(found.rejected["reason"])
    assert reasons == {"weekend_trade_date"}
