"""Currencies: each market, and all together at the decision time."""

from __future__ import annotations

import itertools

from cbi_dagster.catalog.model import Column, Type, names, per_window

_S, _F = Type.STRING, Type.FLOAT64

CURRENCIES = {"6A": "aud", "6B": "gbp", "6C": "cad", "6E": "eur", "6J": "jpy", "6L": "brl", "CNH": "cny"}
"""Roots of the currency futures and the currency of each. CNH, the offshore yuan, stands for CNY."""

RETURN_SESSIONS = (1, 7, 30)
AVERAGE_SESSIONS = (5, 10, 20, 50, 100)
RSI_SESSIONS = (7, 14)
VOLATILITY_SESSIONS = (5, 10, 20, 30)
CORRELATION_SESSIONS = (30, 90)
IMPACT_SESSIONS = 30
DISPERSION_SESSIONS = 90
"""Returns before D that set the scale of each currency's return of D."""
KNOWN_AT_LEAST = 4
"""Currencies whose return must be known for a statement about currencies as a whole: most of seven."""
DISPERSION_CUTS = (1.0, 2.0, 4.0)
VOLATILITY_REGIMES = ("low", "normal", "high", "crisis")
CROSSES = {"brl": "BRL", "cny": "CNY", "eur": "EUR", "usd_index": "fx_usd_index"}
"""What soybean oil is correlated with."""
IMPACTS = ("brl", "cny")

INPUTS = ("date", "symbol", "close", "adj_factor", "adj_low", "adj_high", "adj_close")
TARGET_INPUTS = ("date", "symbol", "adj_close")
"""What is read of the market that currencies are set against, ZL."""

_DOLLARS = "USD per unit of currency"

MARKET_COLUMNS = (
    Column("fx_usd_per_unit", _F, "Close in dollars per unit of the currency, unadjusted.", _DOLLARS, gt=0),
    *per_window(
        RETURN_SESSIONS, Column("fx_log_return_{n}d", _F, "Log return of the currency over {n} sessions.", "fraction")
    ),
    *per_window(AVERAGE_SESSIONS, Column("fx_sma_{n}", _F, "Mean of the last {n} closes of the currency.", _DOLLARS)),
    *per_window(
        AVERAGE_SESSIONS,
        Column("fx_ema_{n}", _F, "Exponential mean of closes of the currency, span {n} sessions.", _DOLLARS),
    ),
    *per_window(
        RSI_SESSIONS, Column("fx_rsi_{n}", _F, "Wilder's RSI of the currency, {n} sessions.", "0..100", ge=0, le=100)
    ),
    Column("fx_macd_line", _F, "EMA of 12 sessions minus EMA of 26 of the currency.", _DOLLARS),
    Column("fx_macd_signal", _F, "EMA of 9 sessions of fx_macd_line.", _DOLLARS),
    Column("fx_macd_hist", _F, "fx_macd_line minus fx_macd_signal.", _DOLLARS),
    Column("fx_bb_upper", _F, "fx_sma_20 plus 2 sample standard deviations.", _DOLLARS),
    Column("fx_bb_lower", _F, "fx_sma_20 minus 2 sample standard deviations.", _DOLLARS),
    Column("fx_bb_width", _F, "fx_bb_upper minus fx_bb_lower.", _DOLLARS, ge=0),
    Column("fx_bb_position", _F, "(close - fx_bb_lower) / fx_bb_width; may leave 0..1.", "fraction"),
    *per_window(
        VOLATILITY_SESSIONS,
        Column(
            "fx_vol_{n}d",
            _F,
            "Sample standard deviation of the last {n} log returns of the currency.",
            "fraction per session",
            ge=0,
        ),
    ),
    Column("fx_atr_14", _F, "Simple mean of the last 14 true ranges of the currency.", _DOLLARS, ge=0),
)


def _correlations(name: str, of: str) -> tuple[Column, ...]:
    return per_window(
        CORRELATION_SESSIONS,
        Column(f"{name}_{{n}}d", _F, f"Correlation of the last {{n}} returns of {of}.", "-1..1", ge=-1, le=1),
    )


CROSS_COLUMNS = (
    *(
        Column(
            f"fx_{root.lower()}_log_return_1d",
            _F,
            f"Log return of {currency.upper()} against the dollar between the decision times of ZL's last two "
            "sessions.",
            "fraction",
        )
        for root, currency in CURRENCIES.items()
    ),
    Column(
        "fx_strength_index",
        _F,
        f"Mean of the known of these returns, at least {KNOWN_AT_LEAST}: currencies against the dollar.",
        "fraction",
    ),
    Column("fx_usd_index", _F, "The dollar against these currencies: minus fx_strength_index.", "fraction"),
    Column(
        "fx_dispersion",
        _F,
        f"Sample standard deviation across currencies, at least {KNOWN_AT_LEAST}, of their returns of the date, each "
        f"divided by its standard deviation over the {DISPERSION_SESSIONS} returns before.",
        "standard deviations",
        ge=0,
    ),
    Column("fx_volatility_regime", _S, "Cut of fx_dispersion at 1, 2 and 4, inclusive.", isin=VOLATILITY_REGIMES),
    Column("fx_brl_cny_log_ratio", _F, "Logarithm of yuan per real, of unadjusted prices.", "log ratio"),
    *(
        column
        for a, b in itertools.combinations(CURRENCIES, 2)
        for column in _correlations(f"fx_corr_{a.lower()}_{b.lower()}", f"{a} and {b}")
    ),
    *(
        column
        for name, what in CROSSES.items()
        for column in _correlations(f"cross_corr_fx_{name}", f"ZL and of {what}")
    ),
    *(
        Column(
            f"fx_{name}_impact_score",
            _F,
            f"Return of {CROSSES[name]} times its {IMPACT_SESSIONS}-session correlation with ZL.",
            "fraction",
        )
        for name in IMPACTS
    ),
)

COLUMNS = (*MARKET_COLUMNS, *CROSS_COLUMNS)

FX = ("date", "symbol", *names(MARKET_COLUMNS))
FX_CROSS = ("date", "symbol", *names(CROSS_COLUMNS))
MATRIX_FIELDS = {
    **{f"fx_{root.lower()}_log_return_1d": f"{currency}_log_return_1d" for root, currency in CURRENCIES.items()},
    **{
        column.name: column.name.removeprefix("fx_")
        for column in CROSS_COLUMNS
        if not column.name.endswith("_log_return_1d") and not column.name.startswith("fx_corr_")
    },
}
"""Columns of `fx_cross_daily` in the matrix' STRUCT `fx`, with the field each becomes there."""
