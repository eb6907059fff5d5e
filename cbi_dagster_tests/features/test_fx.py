"""Currency technicals, and the currencies together at the decision time of ZL."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.columns.fx import CURRENCIES, VOLATILITY_REGIMES
from cbi_dagster.catalog.frames import InvalidFrameError
from cbi_dagster.catalog.tables.features import FX_CROSS_DAILY
from cbi_dagster.features.fx import UnknownQuoteError, fx_cross_daily, fx_daily
from cbi_dagster.features.pivots import pivot_math_daily
from cbi_dagster.features.technicals import technicals_daily

from .continuous_frames import (
    assert_the_past_stands,
    assert_windows_suffice,
    continuous_frame,
    declared_back,
    random_sessions,
)

UNITS = {
    "6A": "USD/AUD",
    "6B": "USD/GBP",
    "6C": "USD/CAD",
    "6E": "USD/EUR",
    "6J": "USD/JPY",
    "6L": "USD/BRL",
    "CNH": "CNH/USD",
}
PRICE = {"6A": 0.9, "6B": 1.5, "6C": 0.8, "6E": 1.2, "6J": 0.0085, "6L": 0.3, "CNH": 7.1, "ZL": 40.0}
TICK = {"6J": 5e-7, "ZL": 0.01}
DAYS = pd.bdate_range("2015-02-10", "2016-08-10", freq="9B")


def decided(frame: pd.DataFrame, seed: int, unknown: Sequence[int] = ()) -> pd.DataFrame:
    """The sessions with a price at the decision time a little off the close, unknown in a few of them."""
    rng = np.random.default_rng(seed)
    price = frame["close"] * np.exp(rng.normal(0, 0.002, len(frame)))
    price = price.where(~np.isin(np.arange(len(frame)), unknown))
    volume = rng.integers(1, 900, len(frame))
    return frame.assign(close_decision=price, adj_close_decision=price * frame["adj_factor"], volume=volume)


def currency_market(seed: int, count: int = 420, *, holes: bool = True) -> pd.DataFrame:
    """ZL and all currencies; with holes of their own, and prices unknown at the decision time here and there."""
    frames = []
    for number, (symbol, price) in enumerate(PRICE.items()):
        sessions = random_sessions(
            symbol,
            seed + number,
            count,
            price=price,
            tick=TICK.get(symbol, 0.00005),
            volatility=0.006,
            holiday_rate=0.03 if holes and symbol == "ZL" else 0.0,
            holes=((150 + 7 * number, 4), (260, 8)) if holes and symbol in ("6L", "6E") else (),
        )
        frames.append(decided(sessions, seed + number, unknown=(2, 415) if holes and symbol == "6L" else ()))
    return pd.concat(frames, ignore_index=True).sample(frac=1, random_state=seed, ignore_index=True)


@pytest.fixture(scope="module")
def market() -> pd.DataFrame:
    return currency_market(20)


def at_decision(frame: pd.DataFrame) -> pd.DataFrame:
    """The currencies that had traded by the decision time."""
    return frame[frame["close_decision"].notna() & (frame["symbol"] != "ZL")]


def cross(frame: pd.DataFrame) -> pd.DataFrame:
    return fx_cross_daily(frame[frame["symbol"] == "ZL"], at_decision(frame), UNITS)


def daily(frame: pd.DataFrame) -> pd.DataFrame:
    return fx_daily(frame, UNITS)


def slow_price_at_decision(frame: pd.DataFrame, symbol: str, day: pd.Timestamp, prefix: str = "adj_") -> float:
    """Row by row: the price of the day at the decision time."""
    rows = frame[(frame["symbol"] == symbol) & (frame["date"] == day)]
    price = rows[f"{prefix}close_decision"].iloc[0] if len(rows) else np.nan
    return float(1 / price if symbol == "CNH" else price)


def slow_returns(frame: pd.DataFrame) -> pd.DataFrame:
    """Log returns of every currency and of ZL, by ZL's dates."""
    zl = frame[frame["symbol"] == "ZL"].sort_values("date").set_index("date")
    prices = pd.DataFrame(
        {symbol: [slow_price_at_decision(frame, symbol, day) for day in zl.index] for symbol in CURRENCIES},
        index=zl.index,
    )
    prices["ZL"] = zl["adj_close"]
    steps = np.array([0, *(len(pd.bdate_range(*pair)) - 1 for pair in itertools.pairwise(zl.index))])
    return np.log(prices).diff().where(pd.Series(steps <= 5, index=zl.index), axis=0)


def test_currencies_have_one_row_a_session_in_order_and_others_none(market: pd.DataFrame) -> None:
    expected = market.loc[market["symbol"] != "ZL", ["symbol", "date"]]
    expected = expected.sort_values(["symbol", "date"], ignore_index=True)
    pd.testing.assert_frame_equal(daily(market)[["symbol", "date"]], expected)


def test_the_cross_has_one_row_a_session_of_zl(market: pd.DataFrame) -> None:
    found = cross(market)
    assert (found["symbol"] == "ZL").all()
    assert found["date"].tolist() == sorted(market.loc[market["symbol"] == "ZL", "date"])


@pytest.mark.parametrize("compute", [daily, cross])
def test_an_empty_frame_gives_an_empty_frame_of_the_same_columns(compute, market: pd.DataFrame) -> None:
    empty = compute(market.iloc[:0])
    assert len(empty) == 0
    assert list(empty.columns) == list(compute(market).columns)


def test_a_currency_quoted_in_dollars_has_the_technicals_of_every_market(market: pd.DataFrame) -> None:
    found = daily(market)
    kept = found["symbol"] != "CNH"
    found = found[kept].reset_index(drop=True)
    currencies = market[market["symbol"].isin(list(CURRENCIES)) & (market["symbol"] != "CNH")]
    common = technicals_daily(currencies)
    shared = [name for name in found.columns if name.removeprefix("fx_") in common.columns and name.startswith("fx_")]
    assert len(shared) == 1 + 10 + 2 + 3 + 4 + 4
    for name in shared:
        np.testing.assert_array_equal(found[name], common[name.removeprefix("fx_")], err_msg=name)
    np.testing.assert_array_equal(found["fx_atr_14"], pivot_math_daily(currencies, {})["atr_14"])
    ordered = currencies.sort_values(["symbol", "date"])
    np.testing.assert_array_equal(found["fx_usd_per_unit"], ordered["close"])


def test_the_yuan_is_turned_round() -> None:
    yuan = decided(random_sessions("CNH", 5, 150, price=7.1, volatility=0.003), 5)
    turned = yuan.assign(
        symbol="6E",
        adj_factor=1 / yuan["adj_factor"],
        **{f"{p}close": 1 / yuan[f"{p}close"] for p in ("", "adj_")},
        **{f"{p}low": 1 / yuan[f"{p}high"] for p in ("", "adj_")},
        **{f"{p}high": 1 / yuan[f"{p}low"] for p in ("", "adj_")},
    )
    found, expected = (daily(frame).drop(columns="symbol") for frame in (yuan, turned))
    pd.testing.assert_frame_equal(found, expected, rtol=1e-12)
    assert found["fx_usd_per_unit"].iloc[-1] == pytest.approx(1 / yuan["close"].iloc[-1])
    assert (found["fx_atr_14"].dropna() > 0).all()


def test_a_rising_quote_of_the_yuan_is_a_falling_yuan() -> None:
    dates = pd.bdate_range("2020-01-01", periods=40)
    quotes = 7 * 1.001 ** np.arange(40)
    yuan, zl = (continuous_frame(symbol, dates, quotes) for symbol in ("CNH", "ZL"))
    frame = pd.concat([decided(yuan, 1), decided(zl, 1)], ignore_index=True)
    assert (daily(frame)["fx_rsi_14"].dropna() == 0).all()
    assert (daily(frame)["fx_log_return_7d"].dropna() < 0).all()


def test_the_cross_is_what_the_formulas_say(market: pd.DataFrame) -> None:
    found = cross(market).set_index("date")
    returns = slow_returns(market)
    known = returns[list(CURRENCIES)]
    expected = {f"fx_{root.lower()}_log_return_1d": known[root] for root in CURRENCIES}
    strength = expected["fx_strength_index"] = known.mean(axis=1).where(known.notna().sum(axis=1) >= 4)
    expected["fx_usd_index"] = -strength
    scaled = known / known.rolling(90).std().shift(1)
    expected["fx_dispersion"] = scaled.std(axis=1).where(scaled.notna().sum(axis=1) >= 4)
    days = found.index
    ratio = [
        slow_price_at_decision(market, "6L", day, "") / slow_price_at_decision(market, "CNH", day, "") for day in days
    ]
    expected["fx_brl_cny_log_ratio"] = pd.Series(np.log(ratio), index=days)
    named = {"brl": returns["6L"], "cny": returns["CNH"], "eur": returns["6E"], "usd_index": -strength}
    for n in (30, 90):
        for a, b in itertools.combinations(CURRENCIES, 2):
            expected[f"fx_corr_{a.lower()}_{b.lower()}_{n}d"] = returns[a].rolling(n).corr(returns[b])
        for name, values in named.items():
            expected[f"cross_corr_fx_{name}_{n}d"] = values.rolling(n).corr(returns["ZL"])
    for name in ("brl", "cny"):
        expected[f"fx_{name}_impact_score"] = named[name] * expected[f"cross_corr_fx_{name}_30d"]
    assert set(found.columns) == {"symbol", "fx_volatility_regime", *expected}
    for name, values in expected.items():
        # A dispersion that knows too little of the 90 sessions before is unknown here and there alike; windows of
        # sessions across too many weekdays are unknown in ours only.
        computed = found[name]
        assert computed.notna().sum() > 100, name
        assert not (computed.notna() & values.isna()).any(), name
        assert (computed.isna() & values.notna()).sum() <= 1, name
        np.testing.assert_allclose(computed.dropna(), values[computed.notna()], rtol=1e-8, atol=1e-12, err_msg=name)


def test_the_regime_is_cut_from_the_dispersion(market: pd.DataFrame) -> None:
    found = cross(market)
    known = found["fx_6e_log_return_1d"].notna() & found["fx_corr_6a_6e_90d"].shift(1).notna()
    day = found.loc[(found["fx_dispersion"] < 1) & known, "date"].iloc[50]
    seen = []
    for jump in (1.0, 1.01, 1.03, 1.2):
        shocked = market.copy()
        there = (shocked["symbol"] == "6E") & (shocked["date"] == day)
        shocked.loc[there, ["close_decision", "adj_close_decision"]] *= jump
        seen.append(cross(shocked).set_index("date").loc[day, "fx_volatility_regime"])
    assert (seen[0], seen[-1]) == ("low", "crisis")
    assert seen == sorted(seen, key=VOLATILITY_REGIMES.index)
    expected = np.select(
        [found["fx_dispersion"].isna(), *(found["fx_dispersion"] < cut for cut in (1, 2, 4))],
        [None, "low", "normal", "high"],
        "crisis",
    )
    assert found["fx_volatility_regime"].tolist() == expected.tolist()


@pytest.mark.parametrize("missing", ["session", "decision price"])
def test_a_currency_that_did_not_trade_has_no_return_then_nor_after(missing: str) -> None:
    frame = currency_market(30, 80, holes=False)
    days = sorted(frame.loc[frame["symbol"] == "ZL", "date"])
    gone = (frame["symbol"] == "6E") & (frame["date"] == days[50])
    if missing == "session":
        frame = frame[~gone]
    else:
        frame.loc[gone, ["close_decision", "adj_close_decision"]] = np.nan
    found = cross(frame).set_index("date")["fx_6e_log_return_1d"]
    assert found.index[found.isna()].tolist() == [days[0], days[50], days[51]]


def test_a_price_whose_adjustment_is_unknown_is_not_replaced_by_an_older_one() -> None:
    frame = currency_market(32, 80, holes=False)
    days = sorted(frame.loc[frame["symbol"] == "ZL", "date"])
    unknown = (frame["symbol"] == "6E") & (frame["date"] >= days[60])
    frame.loc[unknown, [name for name in frame if name.startswith("adj_")]] = np.nan
    found = cross(frame).set_index("date")
    assert found.loc[days[60] :, "fx_6e_log_return_1d"].isna().all()
    assert found.loc[days[60] :, "fx_6a_log_return_1d"].notna().all()


def test_without_the_yuan_its_columns_are_null_and_the_others_stay(market: pd.DataFrame) -> None:
    frame = market[market["symbol"] != "CNH"]
    found = fx_cross_daily(frame, at_decision(frame), {root: unit for root, unit in UNITS.items() if root != "CNH"})
    yuan = [name for name in found.columns if "cnh" in name or "cny" in name]
    assert len(yuan) == 1 + 1 + 12 + 2 + 1
    assert found[yuan].isna().all().all()
    unchanged = [name for name in found.columns if name.startswith("fx_corr_") and name not in yuan]
    pd.testing.assert_frame_equal(found[unchanged], cross(market)[unchanged], check_exact=True)
    assert found["fx_strength_index"].notna().sum() > 300


def test_three_currencies_are_not_a_market() -> None:
    frame = currency_market(33, 120, holes=False)
    three, four = (cross(frame[frame["symbol"].isin([*list(CURRENCIES)[:n], "ZL"])]) for n in (3, 4))
    assert three[["fx_strength_index", "fx_usd_index", "fx_dispersion"]].isna().all().all()
    assert four["fx_strength_index"][1:].notna().all()
    assert four["fx_dispersion"][91:].notna().all()


def test_full_windows_only() -> None:
    found = cross(currency_market(34, 120, holes=False))
    first = {name: int(found[name].first_valid_index()) for name in found.columns[2:]}
    for name, row in first.items():
        window = 91 if "dispersion" in name or "regime" in name else 90 if name.endswith("90d") else 30
        window = 1 if name.endswith("1d") or name in ("fx_strength_index", "fx_usd_index") else window
        window = 0 if name == "fx_brl_cny_log_ratio" else window
        assert row == window, name


def test_a_currency_that_stands_still_correlates_with_nothing() -> None:
    frame = currency_market(35, 60, holes=False)
    still = frame["symbol"] == "6J"
    frame.loc[still, ["close", "close_decision", "adj_close", "adj_close_decision"]] = 0.0085
    found = cross(frame)
    assert found["fx_corr_6a_6j_30d"].isna().all()
    assert found["fx_corr_6a_6b_30d"][30:].notna().all()
    assert not np.isinf(found.select_dtypes("number")).any().any()


@pytest.mark.parametrize("unit", [None, "BRL", "EUR/BRL", "USD/USD"])
def test_a_quote_that_is_not_against_the_dollar_is_named(unit: str | None, market: pd.DataFrame) -> None:
    units = {**UNITS, "6L": unit} if unit else {root: known for root, known in UNITS.items() if root != "6L"}
    with pytest.raises(UnknownQuoteError, match="6L is quoted in"):
        fx_cross_daily(market, at_decision(market), units)


@pytest.mark.parametrize("compute", [daily, cross])
def test_sessions_without_their_prices_are_refused_by_name(compute, market: pd.DataFrame) -> None:
    with pytest.raises(InvalidFrameError, match="sessions lack adj_close"):
        compute(market.drop(columns="adj_close"))


@pytest.mark.parametrize("compute", [daily, cross])
def test_deleting_the_future_changes_nothing(compute, market: pd.DataFrame) -> None:
    assert_the_past_stands(compute, market, DAYS[::7])


def test_a_day_of_the_cross_alone_equals_the_full_rebuild(market: pd.DataFrame) -> None:
    def rows_of_full_columns(frame: pd.DataFrame) -> pd.DataFrame:
        found = cross(frame)
        return found.assign(fx_volatility_regime=found["fx_volatility_regime"].astype(object))

    assert_windows_suffice(rows_of_full_columns, market, DAYS, declared_back(FX_CROSS_DAILY))


def test_ninety_trade_dates_would_not_do(market: pd.DataFrame) -> None:
    with pytest.raises(AssertionError):
        assert_windows_suffice(cross, market, DAYS, 92)


@pytest.mark.parametrize("price", [0.0, -0.2])
def test_a_quote_that_is_not_positive_is_unknown(price: float) -> None:
    frame = currency_market(20, 60, holes=False)
    day = sorted(frame["date"].unique())[50]
    for symbol in ("6L", "CNH"):
        spoilt = frame.copy()
        names = [f"{prefix}{name}" for prefix in ("", "adj_") for name in ("close", "low", "close_decision")]
        spoilt.loc[(spoilt["symbol"] == symbol) & (spoilt["date"] == day), names] = price
        row = daily(spoilt).set_index(["symbol", "date"]).loc[(symbol, day)]
        assert row[["fx_usd_per_unit", "fx_log_return_1d", "fx_sma_5", "fx_atr_14"]].isna().all()
