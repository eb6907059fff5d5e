"""The golden zone of MES, against an independent bar-by-bar implementation and by hand."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.frames import InvalidFrameError
from cbi_dagster.features import golden_zone as module
from cbi_dagster.features.golden_zone import golden_zone_1h, golden_zone_daily
from cbi_dagster.market.resample import resampled_bars

from ..market.intraday_frames import intraday_market

PRICES = ["swing_high", "swing_low", "fib_50", "fib_618", "invalidation"]


def hour_bars(seed: int, count: int = 120, **changes: object) -> pd.DataFrame:
    """1h bars of a random market with rolls, early closes and hours without trades."""
    dates = pd.bdate_range("2023-09-01", periods=count)
    bars, sessions = intraday_market(seed, dates, minutes=60, activity=0.98, **{"volatility": 5e-4, **changes})
    short = bars["date"].isin(dates[::17]) & (bars["ts_event"].dt.hour >= 18) & (bars["ts_event"].dt.hour < 21)
    return resampled_bars({"ohlcv-1h": bars[~short]}, sessions)["1hr"]


def drawn(prices: list[float], volumes: list[float] | None = None, spread: float = 1.0) -> pd.DataFrame:
    """One bar per price, price ± spread, 23 hourly bars a session, contract factor 1."""
    dates = pd.bdate_range("2024-01-02", periods=len(prices) // 23 + 1)
    session, hour = np.divmod(np.arange(len(prices)), 23)
    start = (dates[session] - pd.Timedelta(hours=7)).tz_localize("America/Chicago").tz_convert("UTC")
    close = np.asarray(prices, dtype=float)
    return pd.DataFrame(
        {
            "date": dates[session],
            "symbol": "MES",
            "bar_close_ts": (start + pd.to_timedelta(hour + 1, unit="h")).astype("datetime64[ns, UTC]"),
            "high": close + spread,
            "low": close - spread,
            "close": close,
            "volume": np.asarray(volumes if volumes is not None else [100.0] * len(prices)),
            "adj_factor": 1.0,
        }
    )


# An independent implementation: pivots as a list that is searched again for every bar.


def slow_atr(bars: list[dict]) -> list[float]:
    ranges = [math.nan] + [
        max(now["h"], before["c"]) - min(now["l"], before["c"]) for before, now in itertools.pairwise(bars)
    ]
    atr = [math.nan] * len(bars)
    for i in range(14, len(bars)):
        atr[i] = sum(ranges[1:15]) / 14 if i == 14 else (atr[i - 1] * 13 + ranges[i]) / 14
    return atr


def slow_pivots(bars: list[dict], atr: list[float]) -> list[list[tuple[str, float, int]]]:
    """The pivots (kind, price, confirmed at) known after each bar; extremes are looked up in the bars again."""
    known: list[list[tuple[str, float, int]]] = []
    pivots: list[tuple[str, float, int]] = []
    begin = 0  # the search for the next pivot sees bars from here on
    for t in range(len(bars)):
        pivots = list(pivots)
        threshold = 3 * atr[t] if atr[t] > 0 else math.inf
        high, low = bars[t]["h"], bars[t]["l"]
        tops = [bar["h"] for bar in bars[begin:t]]
        bottoms = [bar["l"] for bar in bars[begin:t]]
        want = None if not pivots else ("low" if pivots[-1][0] == "high" else "high")
        last = pivots[-1][1] if pivots else math.nan
        reversal: dict[str, float] = {}
        if tops and want in (None, "high") and high <= max(tops):
            reversal["high"] = max(tops) - low
        if bottoms and want in (None, "low") and low >= min(bottoms):
            reversal["low"] = high - min(bottoms)
        kind = max(reversal, key=lambda name: (reversal[name], name == "high")) if reversal else None
        if kind is not None and reversal[kind] >= threshold:
            price, extremes = (max(tops), tops) if kind == "high" else (min(bottoms), bottoms)
            pivots.append((kind, price, t))
            begin = begin + extremes.index(price) + 1
        elif pivots and (high > last if pivots[-1][0] == "high" else low < last):
            pivots[-1] = (pivots[-1][0], high if pivots[-1][0] == "high" else low, pivots[-1][2])
            begin = t + 1
        known.append(pivots)
    return known


def slow_golden_zone(frame: pd.DataFrame) -> pd.DataFrame:
    bars = [
        {"h": r.high * r.adj_factor, "l": r.low * r.adj_factor, "c": r.close * r.adj_factor, "v": r.volume,
         "hour": r.bar_close_ts.tz_convert("America/Chicago").hour}
        for r in frame.itertuples()
    ]  # fmt: skip
    atr = slow_atr(bars)
    known = slow_pivots(bars, atr)
    volume: list[float] = []
    for t, bar in enumerate(bars):
        same = [other["v"] for other in bars[:t] if other["hour"] == bar["hour"]][-20:]
        volume.append(bar["v"] / statistics.median(same) if len(same) == 20 else math.nan)
    rows: list[dict] = []
    dead, triggered = False, False
    for t, bar in enumerate(bars):
        row: dict = {"leg": None, "state": None, "decay": math.nan, "trigger": None, "atr": atr[t]}
        if t >= 5:
            window = volume[t - 5 : t]
            if not any(map(math.isnan, window)):
                row["decay"] = np.polyfit(range(5), window, 1)[0] / np.mean(window)
        pivots = known[t - 1] if t else []
        if len(pivots) >= 2:
            (_, origin, _), (kind, end, confirmed) = pivots[-2:]
            end = max(end, bar["h"]) if kind == "high" else min(end, bar["l"])
            if not rows[-1]["leg"] or rows[-1]["leg"][2] != confirmed:
                dead, triggered = False, False
            row["leg"] = (kind, origin, confirmed)
            level = {share: end + share * (origin - end) for share in (0.5, 0.618, 0.786)}

            def beyond(price: float, share: float, level=level, kind=kind) -> bool:
                gap = round(price - level[share], 10) * (1 if kind == "high" else -1)
                return gap > 0

            c = bar["c"]
            inside = {share: beyond(c, share) or round(c - level[share], 10) == 0 for share in level}
            dead = dead or not inside[0.786]
            row["state"] = 0 if dead or beyond(c, 0.5) else 1 if inside[0.618] else 2
            row["levels"] = (max(origin, end), min(origin, end), level[0.5], level[0.618], level[0.786])
            usual = np.mean(volume[t - 24 : t]) if t >= 24 else math.nan
            if not math.isnan(usual) and not math.isnan(volume[t]):
                recent = [r for r in rows[-3:] if r["leg"] and r["leg"][2] == confirmed]
                row["trigger"] = bool(
                    not triggered and not dead and beyond(c, 0.5) and not beyond(bars[t - 1]["c"], 0.5)
                    and any(r["state"] in (1, 2) for r in recent)
                    and volume[t] >= 1.5 * usual and row["decay"] < 0
                )  # fmt: skip
                triggered = triggered or row["trigger"]
        rows.append(row)
    return pd.DataFrame(rows)


def assert_same(fast: pd.DataFrame, slow: pd.DataFrame, factor: pd.Series) -> None:
    assert fast["state"].to_list() == [pd.NA if s is None or s != s else int(s) for s in slow["state"]]
    triggers = [pd.NA if s is None or s != s else bool(s) for s in slow["trigger"]]
    assert fast["qualified_close"].to_list() == triggers
    np.testing.assert_allclose(fast["vol_decay_slope"], slow["decay"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fast["golden_zone_atr"] * factor, slow["atr"], rtol=1e-9)
    for i, name in enumerate(PRICES):
        expected = [row[i] if isinstance(row, tuple) else math.nan for row in slow["levels"]]
        np.testing.assert_allclose(fast[name] * factor, expected, rtol=1e-12)
    directions = [None if leg is None else {"high": "up", "low": "down"}[leg[0]] for leg in slow["leg"]]
    assert fast["leg_direction"].to_list() == directions
    confirmed = [pd.NaT if leg is None else fast["bar_close_ts"][leg[2]] for leg in slow["leg"]]
    assert fast["leg_confirmed_ts"].to_list() == confirmed


# The last two have the rare: a close that crosses the half as a new leg begins; one four bars out of the zone.
@pytest.mark.parametrize(
    ("seed", "volatility"), [(0, 2e-4), (1, 5e-4), (2, 1e-3), (3, 2e-4), (4, 5e-4), (5, 1e-3), (12, 1e-3), (13, 3e-3)]
)
def test_it_agrees_with_a_bar_by_bar_implementation(seed: int, volatility: float) -> None:
    bars = hour_bars(seed, volatility=volatility)
    fast = golden_zone_1h(bars)
    assert fast["leg_confirmed_ts"].nunique() > 30
    assert set(fast["state"].dropna()) == {0, 1, 2}
    assert_same(fast, slow_golden_zone(bars), bars["adj_factor"])


def test_random_markets_do_trigger() -> None:
    triggers = [golden_zone_1h(hour_bars(seed))["qualified_close"].sum() for seed in range(6)]
    assert sum(triggers) >= 3


# A leg by hand: 15 quiet bars, up from 100 to 140, back into the zone. Bars are ± 1, so extremes are 1 beyond.
QUIET = [100.0] * 15
UP = [100.0 + 4 * i for i in range(1, 11)]


def states(prices: list[float]) -> list[object]:
    return golden_zone_1h(drawn(prices))["state"].to_list()


def test_a_leg_counts_from_the_bar_after_its_confirmation() -> None:
    frame = golden_zone_1h(drawn([*QUIET, *UP, 130, 120, 119]))
    first = int(frame["state"].first_valid_index())
    row = frame.loc[first]
    assert (row["leg_direction"], row["swing_low"], row["swing_high"]) == ("up", 99.0, 141.0)
    assert row["leg_confirmed_ts"] == frame.loc[first - 1, "bar_close_ts"]
    assert (row["fib_50"], row["fib_618"], row["invalidation"]) == (120.0, 115.044, 107.988)
    assert first == 27


def test_the_state_follows_the_close_and_invalidation_ends_the_leg() -> None:
    path = [*QUIET, *UP, 130, 120]
    after = states([*path, 121, 120, 116, 115, 110, 116, 107.5, 116, 121])[len(path) :]
    assert after == [0, 1, 1, 2, 2, 1, 0, 0, 0]


def test_the_lower_bounds_of_both_zones_are_inside_them() -> None:
    path = [*QUIET, *UP, 130, 120]
    assert states([*path, 115.044])[-1] == 1
    assert states([*path, 115.0439])[-1] == 2
    assert states([*path, 107.988])[-1] == 2
    assert states([*path, 107.9879])[-1] == 0


def mirrored(frame: pd.DataFrame, about: float = 400.0) -> pd.DataFrame:
    return frame.assign(high=about - frame["low"], low=about - frame["high"], close=about - frame["close"])


def test_a_down_leg_is_an_up_leg_in_the_mirror() -> None:
    frame = drawn([*QUIET, *UP, 130, 120, 121, 120, 116, 115, 110, 116, 107.5])
    up, down = golden_zone_1h(frame), golden_zone_1h(mirrored(frame))
    assert down["state"].to_list() == up["state"].to_list()
    assert down["leg_direction"].iloc[-1] == "down"
    for here, there in (("swing_high", "swing_low"), ("fib_50", "fib_50"), ("invalidation", "invalidation")):
        np.testing.assert_allclose(down[here], 400 - up[there])


def test_a_new_extreme_extends_the_leg_at_once_and_keeps_its_confirmation() -> None:
    bars = drawn([*QUIET, *UP, 130, 141, 140])
    bars.loc[25, ["high", "low"]] = [138, 128]  # 13 below 141: more than 3 ATR, the high is confirmed
    bars.loc[26, ["high", "low"]] = [142, 129]  # 14 above 128: less than 3 ATR by now, no low is confirmed
    frame = golden_zone_1h(bars).iloc[26:]
    assert frame["leg_direction"].to_list() == ["up", "up"]
    assert frame["swing_high"].to_list() == [142.0, 142.0]
    assert frame["fib_50"].to_list() == [120.5, 120.5]
    assert (frame["leg_confirmed_ts"] == bars["bar_close_ts"][25]).all()


def test_a_bar_beyond_both_ends_extends_the_leg_and_confirms_nothing() -> None:
    bars = drawn([*QUIET, *UP, 130, 130, 130])
    bars.loc[25, ["high", "low"]] = [138, 128]
    bars.loc[26, ["high", "low"]] = [148, 120]  # 20 above 128 is more than 3 ATR, but 120 may have come later
    last = golden_zone_1h(bars).iloc[-1]
    assert (last["leg_direction"], last["swing_low"], last["swing_high"]) == ("up", 99.0, 148.0)


def test_a_bar_that_makes_a_new_extreme_does_not_confirm_it_itself() -> None:
    bars = drawn([*QUIET, *UP, 139])
    bars.loc[25, ["high", "low"]] = [145, 120]
    assert golden_zone_1h(pd.concat([bars, drawn([*QUIET, *UP, 139, 139]).tail(1)]))["state"].isna().all()
    after = drawn([*QUIET, *UP, 139, 120, 119])
    after.loc[25, ["high", "low"]] = [145, 120]
    assert golden_zone_1h(after)["swing_high"].to_list()[-1] == 145.0


def trigger_market(spike: float = 400.0, decay: bool = True) -> pd.DataFrame:
    """25 calm sessions, then a leg up, a pull-back into the zone on falling volume and a close above fib_50."""
    calm = [100.0] * (23 * 25)
    path = [*UP, 130, 122, 119, 118, 118, 118, 119, 121.5]
    falling = [150, 140, 130, 120, 110] if decay else [110, 120, 130, 140, 150]
    volumes = [100.0] * (len(calm) + len(path) - 6) + [float(v) for v in falling] + [spike]
    return drawn([*calm, *path], volumes)


def test_a_close_back_above_the_half_on_expanding_volume_after_decay_qualifies() -> None:
    frame = golden_zone_1h(trigger_market())
    assert frame["qualified_close"].to_list()[-1] is True
    assert frame["qualified_close"].sum() == 1
    assert frame["vol_decay_slope"].iloc[-1] == pytest.approx(-10 / 130)
    daily = golden_zone_daily(frame)
    assert daily["qualified_trigger"].to_list()[-1] is True


@pytest.mark.parametrize(
    ("market", "why"),
    [
        (trigger_market(spike=155.0), "no spike: 1.5 x the mean of 24 bars is about 163"),
        (trigger_market(decay=False), "volume rose on the way into the zone"),
        (trigger_market().assign(close=lambda f: f["close"].where(f.index < len(f) - 1, 119.9)), "no close above"),
    ],
)
def test_without_spike_or_decay_or_cross_it_does_not(market: pd.DataFrame, why: str) -> None:
    assert golden_zone_1h(market)["qualified_close"].to_list()[-1] is False, why


def test_only_the_first_qualified_close_of_a_leg_counts() -> None:
    once = trigger_market()
    again = pd.concat([once["close"], pd.Series([119.5, 119.0, 118.5, 118.6, 118.7, 121.5])]).to_list()
    volumes = [*once["volume"], 150.0, 140.0, 130.0, 120.0, 110.0, 900.0]
    frame = golden_zone_1h(drawn(again, volumes))
    assert frame["leg_confirmed_ts"].iloc[-1] == frame["leg_confirmed_ts"].iloc[-7]
    assert frame["qualified_close"].to_list()[-1] is False
    assert frame["qualified_close"].sum() == 1


def test_a_roll_alone_moves_nothing_but_the_quotes() -> None:
    bars = hour_bars(3)
    late = bars["date"] > "2023-11-15"
    rolled = bars.assign(adj_factor=np.where(late, bars["adj_factor"] * 0.5, bars["adj_factor"]))
    for name in ("high", "low", "close"):
        rolled[name] = bars[name].where(~late, bars[name] * 2)
    plain, doubled = golden_zone_1h(bars), golden_zone_1h(rolled)
    same = ["state", "leg_direction", "leg_confirmed_ts", "vol_decay_slope", "qualified_close"]
    pd.testing.assert_frame_equal(plain[same], doubled[same])
    for name in PRICES:
        np.testing.assert_allclose(doubled[name], np.where(late, 2.0, 1.0) * plain[name], rtol=1e-12)


def test_levels_are_in_the_price_of_the_contract_of_the_day() -> None:
    bars = hour_bars(3)
    frame = golden_zone_1h(bars)
    # Extremes within one contract are prices that traded, to the tick.
    own = frame["swing_high"].isin(bars["high"])
    assert own.mean() > 0.9


def test_a_hole_and_an_unknown_factor_start_anew() -> None:
    bars = hour_bars(4)
    days = bars["date"].drop_duplicates().to_list()
    for missing, restarts in ((4, False), (5, True)):
        holed = bars[~bars["date"].isin(days[60 : 60 + missing])].reset_index(drop=True)
        frame = golden_zone_1h(holed)
        after = frame[frame["date"] == days[60 + missing]]
        assert after["golden_zone_atr"].isna().any() == restarts
        if restarts:
            alone = golden_zone_1h(holed[holed["date"] > days[60]].reset_index(drop=True))
            pd.testing.assert_frame_equal(frame.tail(len(alone)).reset_index(drop=True), alone, check_exact=True)
    unknown = bars.assign(adj_factor=bars["adj_factor"].where(bars["date"] < days[80]))
    frame = golden_zone_1h(unknown)
    assert frame.loc[frame["date"] >= days[80], ["state", "fib_50", "golden_zone_atr"]].isna().all().all()


def assert_the_past_stands(compute: Callable[[pd.DataFrame], pd.DataFrame], bars: pd.DataFrame) -> None:
    full = compute(bars)
    for cut in range(20, len(bars), 67):
        kept = compute(bars.iloc[:cut].reset_index(drop=True))
        pd.testing.assert_frame_equal(kept, full.iloc[:cut].reset_index(drop=True), check_exact=True)


def test_deleting_the_future_changes_nothing() -> None:
    assert_the_past_stands(golden_zone_1h, hour_bars(1))


def test_planted_look_aheads_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    bars = hour_bars(1)

    def next_close(frame: pd.DataFrame) -> pd.DataFrame:
        return golden_zone_1h(frame.assign(close=frame["close"].shift(-1).fillna(frame["close"])))

    def whole_median(volume: np.ndarray, hours: np.ndarray) -> np.ndarray:
        return volume / pd.Series(volume).groupby(hours).transform("median").to_numpy()

    with pytest.raises(AssertionError):
        assert_the_past_stands(next_close, bars)
    monkeypatch.setattr(module, "_like_hours", whole_median)
    with pytest.raises(AssertionError):
        assert_the_past_stands(golden_zone_1h, bars)


def test_confirmations_lie_strictly_before_the_rows_that_use_them() -> None:
    frame = golden_zone_1h(hour_bars(2)).dropna(subset=["leg_confirmed_ts"])
    assert (frame["leg_confirmed_ts"] < frame["bar_close_ts"]).all()


def test_a_session_shows_its_last_bar_and_any_trigger() -> None:
    frame = golden_zone_1h(hour_bars(0))
    daily = golden_zone_daily(frame)
    assert daily["date"].to_list() == frame["date"].drop_duplicates().to_list()
    for row in daily.iloc[::7].itertuples():
        session = frame[frame["date"] == row.date]
        last = session.iloc[-1]
        assert (row.state is pd.NA and last["state"] is pd.NA) or row.state == last["state"]
        assert row.fib_50 == last["fib_50"] or np.isnan(last["fib_50"])
        known = session["qualified_close"].dropna()
        expected = True if known.any() else pd.NA if len(known) < len(session) else False
        assert row.qualified_trigger is expected or row.qualified_trigger == expected
    assert set(daily["golden_zone_source"]) == {"1h"}


def test_nothing_in_nothing_out() -> None:
    bars = hour_bars(0)
    empty = golden_zone_1h(bars.iloc[:0])
    assert len(empty) == 0
    assert (empty.dtypes == golden_zone_1h(bars).dtypes).all()
    assert (golden_zone_daily(empty).dtypes == golden_zone_daily(golden_zone_1h(bars)).dtypes).all()


def test_bars_that_are_not_one_ordered_market_are_refused() -> None:
    bars = hour_bars(0)
    with pytest.raises(InvalidFrameError, match="1h bars lack adj_factor"):
        golden_zone_1h(bars.drop(columns="adj_factor"))
    with pytest.raises(InvalidFrameError, match="out of order"):
        golden_zone_1h(bars.iloc[::-1])
    with pytest.raises(InvalidFrameError, match="2 symbols"):
        golden_zone_1h(bars.assign(symbol=np.where(bars.index > 9, "ES", "MES")))
    with pytest.raises(InvalidFrameError, match="rows of golden_zone_1h lack swing_high"):
        golden_zone_daily(golden_zone_1h(bars).drop(columns="swing_high"))
