"""Columns of the MES families: technicals of intraday bars, completed bars of longer periods, and the golden zone.

Part of the one dictionary in `columns.py`. Windows whose names end in `b` count bars of the table's horizon.
"""

from __future__ import annotations

from cbi_dagster.catalog.model import Column, Type

_S, _I, _F, _B, _D, _T = Type.STRING, Type.INT64, Type.FLOAT64, Type.BOOL, Type.DATE, Type.TIMESTAMP
_PRICE = "quote unit"
_AVERAGES = (5, 10, 20, 50, 100, 200)

BAR_TECHNICALS = (
    *(
        Column(f"ret_{n}b", _F, f"Adjusted close over the one {n} bars before, minus 1.", "fraction", gt=-1)
        for n in (1, 7, 30)
    ),
    *(
        Column(
            f"vol_{n}b",
            _F,
            f"Sample standard deviation of the last {n} one-bar log returns, not annualised.",
            "fraction per bar",
            ge=0,
        )
        for n in (5, 10, 20, 30, 60)
    ),
    *(
        Column(f"rsi_{n}b", _F, f"Wilder's RSI of {n} bars; 50 for a flat series.", "0..100", ge=0, le=100)
        for n in (7, 14, 21)
    ),
    Column("macd_line_b", _F, "EMA of 12 bars minus EMA of 26, in the price of the bar's contract.", _PRICE),
    Column("macd_signal_b", _F, "EMA of 9 bars of macd_line_b.", _PRICE),
    Column("macd_hist_b", _F, "macd_line_b minus macd_signal_b.", _PRICE),
    *(
        Column(f"sma_{n}b", _F, f"Mean of the last {n} closes (bars), in the price of the bar's contract.", _PRICE)
        for n in _AVERAGES
    ),
    *(
        Column(
            f"ema_{n}b", _F, f"Exponential mean of closes, span {n} bars, in the price of the bar's contract.", _PRICE
        )
        for n in _AVERAGES
    ),
    Column("bb_upper_20b", _F, "sma_20b plus 2 sample standard deviations of the last 20 closes (bars).", _PRICE),
    Column("bb_lower_20b", _F, "sma_20b minus 2 sample standard deviations of the last 20 closes (bars).", _PRICE),
    Column("bb_width_20b", _F, "bb_upper_20b minus bb_lower_20b.", _PRICE, ge=0),
    Column(
        "bb_position_20b",
        _F,
        "(close - bb_lower_20b) / bb_width_20b; may leave 0..1; NULL for a width of 0.",
        "fraction",
    ),
    Column(
        "atr_14b", _F, "Wilder's average of 14 true ranges (bars), in the price of the bar's contract.", _PRICE, ge=0
    ),
    *(Column(f"dist_sma_{n}b", _F, f"(close - sma_{n}b) / sma_{n}b.", "fraction", gt=-1) for n in (20, 50, 200)),
    Column("volume_sma_20b", _F, "Mean volume of the last 20 bars.", "contracts", ge=0),
    Column("volume_ratio_20b", _F, "volume / volume_sma_20b.", "ratio", ge=0),
    Column("volume_trend_20b", _F, "Mean volume of the last 5 bars / volume_sma_20b.", "ratio", ge=0),
)

_PERIODS = {
    "1d": "the session",
    "7d": "the last completed calendar week",
    "30d": "the last 21 sessions",
    "3m": "the last completed calendar quarter",
    "6m": "the last completed calendar half-year",
    "12m": "the last completed calendar year",
}

PERIOD_BARS = tuple(
    column
    for h, period in _PERIODS.items()
    for column in (
        Column(f"bar_first_date_{h}", _D, f"First trade date of {period}."),
        Column(f"bar_last_date_{h}", _D, f"Last trade date of {period}."),
        Column(f"bar_open_{h}", _F, f"Adjusted open of {period}, in the price of the row's contract.", _PRICE),
        Column(f"bar_high_{h}", _F, f"Adjusted high of {period}, in the price of the row's contract.", _PRICE),
        Column(f"bar_low_{h}", _F, f"Adjusted low of {period}, in the price of the row's contract.", _PRICE),
        Column(f"bar_close_{h}", _F, f"Adjusted close of {period}, in the price of the row's contract.", _PRICE),
        Column(f"bar_volume_{h}", _I, f"Contracts traded in {period}.", "contracts", ge=0),
        Column(f"bar_sessions_{h}", _I, f"Sessions of {period}.", "sessions", ge=1),
        Column(
            f"bar_ret_{h}",
            _F,
            f"Adjusted close of {period} over that of the session before it, minus 1.",
            "fraction",
            gt=-1,
        ),
        Column(f"bar_range_{h}", _F, f"bar_high_{h} / bar_low_{h} - 1.", "fraction", ge=0),
        Column(
            f"bar_position_{h}",
            _F,
            f"(close of the row - bar_low_{h}) / (bar_high_{h} - bar_low_{h}); may leave 0..1.",
            "fraction",
        ),
    )
)

GOLDEN_ZONE = (
    Column("state", _I, "0 outside the golden zone, 1 inside, 2 deep.", "", ge=0, le=2),
    Column("swing_high", _F, "High of the active swing, in the price of the row's contract.", _PRICE),
    Column("swing_low", _F, "Low of the active swing, in the price of the row's contract.", _PRICE),
    Column("fib_50", _F, "50 % retracement of the active swing.", _PRICE),
    Column("fib_618", _F, "61.8 % retracement of the active swing.", _PRICE),
    Column(
        "invalidation", _F, "78.6 % retracement of the active swing: a close beyond it ends the set-up.", _PRICE
    ),
    Column("leg_direction", _S, "up when the active swing's low came first, else down.", isin=("up", "down")),
    Column(
        "leg_confirmed_ts",
        _T,
        "Close of the 1h bar that confirmed the active swing's later end (UTC), always before the row's.",
    ),
    Column(
        "vol_decay_slope",
        _F,
        "Slope of normalised volume over the 5 bars before the candidate bar, per bar.",
        "fraction per bar",
    ),
)  # fmt: skip
GOLDEN_ZONE_BAR = (
    Column(
        "qualified_close",
        _B,
        "Whether the bar's close qualified: back across fib_50 on expanding volume, the first time in its swing.",
    ),
    Column(
        "golden_zone_atr",
        _F,
        "Wilder's average of 14 true ranges of 1h bars since inception, in the price of the bar's contract.",
        _PRICE,
        ge=0,
    ),
)
GOLDEN_ZONE_SESSION = (
    Column(
        "qualified_trigger", _B, "Whether a close qualified in the session: back across fib_50 on expanding volume."
    ),
    Column("golden_zone_source", _S, "Bars that the golden zone was computed from.", isin=("1h",)),
)
