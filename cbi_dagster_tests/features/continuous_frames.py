"""Continuous sessions to test on: seeded random ones with holes and rolls, and real ones where they are present."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from cbi_dagster.catalog import Table

REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def continuous_frame(
    symbol: str,
    dates: pd.DatetimeIndex,
    close: np.ndarray,
    *,
    high: np.ndarray | None = None,
    low: np.ndarray | None = None,
    factor: np.ndarray | float = 1.0,
) -> pd.DataFrame:
    """Sessions with the given unadjusted prices (high and low default to the close)."""
    close = np.asarray(close, dtype=float)
    prices = {"open": close, "high": close if high is None else high, "low": close if low is None else low}
    frame = pd.DataFrame({"date": dates, "symbol": symbol, **prices, "close": close, "realized_vol_1h": 0.01})
    frame["session_quality"] = "complete"
    frame["adj_factor"] = factor
    for name in ("open", "high", "low", "close"):
        frame[f"adj_{name}"] = frame[name] * frame["adj_factor"]
    return frame


def random_sessions(
    symbol: str,
    seed: int,
    count: int,
    *,
    start: str = "2015-01-01",
    price: float = 40.0,
    tick: float = 0.01,
    volatility: float = 0.015,
    holiday_rate: float = 0.04,
    holes: tuple[tuple[int, int], ...] = (),
    roll_every: int = 45,
) -> pd.DataFrame:
    """`count` sessions of a random walk on ticks; `holes` are (weekday position, length) stretches without sessions."""
    rng = np.random.default_rng(seed)
    weekdays = pd.bdate_range(start, periods=int(count * 1.3) + 60)
    keep = rng.random(len(weekdays)) >= holiday_rate
    for position, length in holes:
        keep[position : position + length] = False
    dates = weekdays[keep][:count]
    close = price * np.exp(np.cumsum(rng.normal(0, volatility, len(dates))))
    spread = close * volatility * rng.random((2, len(dates)))
    ticked = [np.round(prices / tick) * tick for prices in (close, close + spread[0], close - spread[1])]
    steps = np.where(np.arange(len(dates)) % roll_every == roll_every - 1, rng.uniform(0.97, 1.03, len(dates)), 1.0)
    close, high, low = (np.round(prices, 9) for prices in ticked)
    return continuous_frame(symbol, dates, close, high=high, low=low, factor=np.cumprod(steps))


def random_market(seed: int, count: int = 420) -> pd.DataFrame:
    """Three symbols that share nothing: one plain, one with holes of awkward lengths, one thin and starting late."""
    holes = ((60, 4), (90, 5), (130, 6), (180, 20), (330, 3))
    return pd.concat(
        [
            random_sessions("ZL", seed, count),
            random_sessions("CL", seed + 1, count, price=70.0, volatility=0.03, holes=holes),
            random_sessions(
                "6L", seed + 2, count - 100, start="2015-05-11", price=0.3, tick=0.00005, holiday_rate=0.12
            ),
        ],
        ignore_index=True,
    ).sample(frac=1, random_state=seed, ignore_index=True)


def real_sessions() -> pd.DataFrame:
    """Soybean oil, 2000 to 2007, from another vendor (unadjusted), with its `atr_14`; skips where it is absent."""
    path = REAL_DATA / "oracles" / "zl_technicals_2000_2007.parquet"
    if not path.exists():
        pytest.skip(f"no real data at {path}")
    table = pq.read_table(path).to_pandas(ignore_metadata=True)
    table.columns = [str(column).lower() for column in table.columns]
    table["date"] = pd.to_datetime(table["date"]).dt.normalize().astype("datetime64[ns]")
    table = table[table["date"].dt.dayofweek < 5].sort_values("date", ignore_index=True)
    frame = continuous_frame(
        "ZL",
        pd.DatetimeIndex(table["date"]),
        table["close"].to_numpy(),
        high=table["high"].to_numpy(),
        low=table["low"].to_numpy(),
    )
    return frame.assign(legacy_atr_14=table["atr_14"].to_numpy())


def rows_of_the_last_day_computed_from(
    compute: Callable[[pd.DataFrame], pd.DataFrame], frame: pd.DataFrame, days: pd.DatetimeIndex, back: int
) -> pd.DataFrame:
    """For every day, its rows when `compute` sees only the trade dates from `back` before it up to it."""
    weekday = pd.offsets.BusinessDay()
    rows = []
    for day in days:
        seen = frame[(frame["date"] >= day - back * weekday) & (frame["date"] <= day)]
        computed = compute(seen)
        rows.append(computed[computed["date"] == day])
    return pd.concat(rows, ignore_index=True)


def declared_back(table: Table) -> int:
    """How many trade dates before D the table reads of its first input."""
    back = table.reads[0].back
    assert isinstance(back, int)
    return back


def assert_windows_suffice(
    compute: Callable[[pd.DataFrame], pd.DataFrame],
    frame: pd.DataFrame,
    days: pd.DatetimeIndex,
    back: int,
) -> None:
    """Each day computed from its declared window alone is bit-identical to a full rebuild."""
    full = compute(frame)
    expected = full[full["date"].isin(days)].sort_values(["date", "symbol"], ignore_index=True)
    alone = rows_of_the_last_day_computed_from(compute, frame, days, back)
    pd.testing.assert_frame_equal(alone, expected, check_exact=True)


def assert_the_past_stands(
    compute: Callable[[pd.DataFrame], pd.DataFrame], frame: pd.DataFrame, days: pd.DatetimeIndex
) -> None:
    """Deleting everything after a day leaves every row up to it bit-identical."""
    full = compute(frame)
    for day in days:
        cut = compute(frame[frame["date"] <= day])
        expected = full[full["date"] <= day].reset_index(drop=True)
        pd.testing.assert_frame_equal(cut, expected, check_exact=True)
