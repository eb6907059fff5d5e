"""Feature families and the matrix."""

from __future__ import annotations

from cbi_dagster.catalog.columns import (
    DICTIONARY,
    biofuel,
    decisions,
    fibs,
    fx,
    matrix,
    open_interest,
    pick,
    pivots,
    policy,
    predictions,
    regimes,
    sessions,
    technicals,
    volatility,
)
from cbi_dagster.catalog.model import Read, Table, names, renamed, struct
from cbi_dagster.catalog.partitioning import INCEPTION, Daily, Inception
from cbi_dagster.catalog.spans import MOST_TRADE_DATES, span_limit, trade_dates_within
from cbi_dagster.catalog.tables.market_data import (
    CRUSH_LEGS_1D,
    FUTURES_CONTINUOUS_1D,
    FUTURES_DECISION_1D,
    FUTURES_STATISTICS,
)
from cbi_dagster.catalog.tables.mes import GOLDEN_ZONE_DAILY
from cbi_dagster.catalog.tables.predictions import ZL_IMPACT_DAILY
from cbi_dagster.catalog.tables.raw_intelligence import MACRO_SERIES, POLICY_COVERAGE, POLICY_EVENTS
from cbi_dagster.catalog.tables.regimes import REGIME_CALENDAR, REGIME_WEIGHTS
from cbi_dagster.config.biofuel import load_biofuel


def _family(
    name: str,
    description: str,
    columns: tuple[str, ...],
    back: int | Inception,
    inputs: tuple[str, ...],
    *others: Read,
) -> Table:
    """A feature family over the continuous series, one row per symbol and trade date."""
    return Table(
        dataset="features",
        name=name,
        description=description,
        columns=pick(*columns),
        key=("symbol", "date"),
        partitioning=Daily("date"),
        layer="features",
        cluster=("symbol",),
        reads=(Read(FUTURES_CONTINUOUS_1D.id, back, columns=inputs), *others),
    )


VOLATILITY_DAILY = _family(
    "volatility_daily",
    "Realized volatilities of the adjusted series and where today's stands in its own past.",
    volatility.VOLATILITY,
    # The ranked sessions, the 21 returns behind each, the close before each return.
    span_limit(volatility.RANK_SESSIONS) + span_limit(21) + span_limit(2),
    volatility.INPUTS,
)
PIVOT_MATH_DAILY = _family(
    "pivot_math_daily",
    "Floor-trader pivots of the prior session, week and month in the price of the row's contract, distances to them, "
    "confluence and pattern flags.",
    pivots.PIVOTS,
    # To the first weekday of the prior month. The 14 true ranges and the close before them (22), the own levels of the
    # three sessions before D (12) and yesterday's weekly levels (14) are nearer.
    MOST_TRADE_DATES[2] - 1,
    pivots.INPUTS,
)
FIB_LEVELS_DAILY = _family(
    "fib_levels_daily",
    "Fibonacci levels of the last confirmed swing of adjusted closes, in the price of the row's contract.",
    fibs.FIBS,
    # The window, the 14 true ranges behind its first session, the close before the first of them.
    span_limit(fibs.WINDOW_SESSIONS) + span_limit(pivots.ATR_SESSIONS) + span_limit(2),
    fibs.INPUTS,
)
TECHNICALS_DAILY = _family(
    "technicals_daily",
    "Technical indicators of every market on adjusted prices, quoted in the price of the row's contract.",
    technicals.TECHNICALS,
    INCEPTION,
    technicals.INPUTS,
)
FX_DAILY = _family(
    "fx_daily",
    "Technicals of the currency markets in dollars per unit of the currency, known at their close.",
    fx.FX,
    INCEPTION,
    fx.INPUTS,
)
#: The session before D, the returns whose spread it knows, the session before the first of them. The 90 correlated
#: returns, ending at D, are nearer.
_FX_CROSS_BACK = span_limit(2) + span_limit(fx.DISPERSION_SESSIONS) + span_limit(2)
FX_CROSS_DAILY = _family(
    "fx_cross_daily",
    "The currencies together, and with ZL, as they stood at ZL's decision time (13:20 Chicago).",
    fx.FX_CROSS,
    _FX_CROSS_BACK,
    fx.TARGET_INPUTS,
    Read(FUTURES_DECISION_1D.id, _FX_CROSS_BACK, columns=decisions.PRICES, symbols=tuple(fx.CURRENCIES)),
)

#: The sessions of a momentum and the one that it is compared with. The sessions of a mean are nearer.
_BIOFUEL_BACK = span_limit(max(biofuel.MOMENTUM_SESSIONS) + 1)
BIOFUEL_DAILY = _family(
    "biofuel_daily",
    "Biofuel economics of soybean oil on unadjusted prices, grains at their close, others as they stood at ZL's "
    "decision time (13:20 Chicago): spreads, margins, RIN proxies (no prices), their means and volatilities.",
    biofuel.BIOFUEL,
    _BIOFUEL_BACK,
    biofuel.INPUTS,
    Read(FUTURES_DECISION_1D.id, _BIOFUEL_BACK, columns=decisions.PRICES, symbols=biofuel.AT_DECISION),
    Read(CRUSH_LEGS_1D.id, _BIOFUEL_BACK, columns=biofuel.CRUSH_INPUTS),
    Read(
        MACRO_SERIES.id,
        _BIOFUEL_BACK + trade_dates_within(max(load_biofuel().max_staleness_days.values())),
        columns=biofuel.MACRO_INPUTS,
        looked_up=True,
    ),
)

#: The session of the longest change, and the one before D.
_OPEN_INTEREST_BACK = span_limit(max(open_interest.CHANGE_SESSIONS) + 2)
OPEN_INTEREST_DAILY = _family(
    "open_interest_daily",
    "Open interest of the session before, of the row's contract and of its market, as published by the decision time "
    "(13:20 Chicago).",
    open_interest.OPEN_INTEREST,
    _OPEN_INTEREST_BACK,
    open_interest.INPUTS,
    Read(FUTURES_STATISTICS.id, _OPEN_INTEREST_BACK, columns=open_interest.STATISTICS_INPUTS, looked_up=True),
)

#: The first session of the mean, and the week of events behind it.
_POLICY_BACK = trade_dates_within(policy.MEAN_DAYS - 1 + policy.SENTIMENT_DAYS)
POLICY_DAILY = Table(
    dataset="features",
    name="policy_daily",
    description="What was said of policy up to the decision time (13:20 Chicago) of every session of ZL and MES. NULL "
    "where no source's text covers the day, 0 where it does and nothing was said.",
    columns=pick(*policy.DAILY),
    key=("symbol", "date"),
    partitioning=Daily("date"),
    layer="features",
    required=frozenset({"policy_coverage", "policy_coverage_share"}),
    cluster=("symbol",),
    reads=(
        Read(
            FUTURES_CONTINUOUS_1D.id,
            # The sessions of the mean, and the one before the first of them.
            trade_dates_within(policy.MEAN_DAYS - 1) + sessions.STALE_TRADE_DATES,
            columns=policy.SESSION_INPUTS,
            symbols=policy.SYMBOLS,
        ),
        Read(POLICY_EVENTS.id, _POLICY_BACK, columns=policy.DAILY_EVENT_INPUTS, looked_up=True),
        Read(POLICY_COVERAGE.id, _POLICY_BACK, columns=policy.COVERAGE_INPUTS, looked_up=True),
        Read(ZL_IMPACT_DAILY.id, columns=predictions.OVER_ACTIONS_INPUTS),
    ),
)

MATRIX_STRUCTS = (
    struct("market_data", "The session of the row's contract.", pick(*matrix.SESSION)),
    struct(
        "pivots",
        "Where the close stands among the pivots of the prior session and week.",
        pick("P R1 R2 S1 S2 distance_to_P distance_to_nearest_pivot weekly_pivot_distance price_above_P"),
    ),
    struct(
        "policy",
        "Policy events known at the row's decision time; NULL where no source covers the date, and for other symbols "
        "than ZL and MES.",
        policy.FEATURES,
    ),
    struct(
        "golden_zone",
        "The golden-zone state machine of MES; NULL for other symbols.",
        pick("state swing_high swing_low fib_50 fib_618 vol_decay_slope qualified_trigger"),
    ),
    struct(
        "regime",
        "The regime in force and how volatile the symbol is against its own past.",
        (renamed(DICTIONARY["regime"], "name"), *pick("weight vol_percentile k_vol")),
    ),
    struct(
        "fibs",
        "Fibonacci levels of the last confirmed swing.",
        pick(
            "trend_direction swing_high_price swing_low_price days_since_swing retrace_236 retrace_382 retrace_50 "
            "retrace_618 retrace_786 ext_100 ext_1236 ext_1382 ext_1618 ext_200 ext_2618 swing_position_pct "
            "price_near_618_retrace price_near_any_major"
        ),
    ),
    struct("technicals", "Technical indicators of the symbol itself.", technicals.COLUMNS),
    struct(
        "fx",
        "The currencies at ZL's decision time, and how ZL moves with them; NULL for other symbols.",
        tuple(renamed(DICTIONARY[name], field) for name, field in fx.MATRIX_FIELDS.items()),
    ),
    struct(
        "biofuel",
        "Biofuel economics of soybean oil at ZL's decision time; NULL for other symbols. Means and volatilities of "
        "these are in `biofuel_daily`.",
        biofuel.MATRIX_COLUMNS,
    ),
    struct(
        "open_interest",
        "Open interest of the session before, as published by the decision time.",
        open_interest.COLUMNS,
    ),
)

#: The tables that fill the STRUCTs.
MATRIX_FAMILIES = {
    "regime": VOLATILITY_DAILY,
    "pivots": PIVOT_MATH_DAILY,
    "fibs": FIB_LEVELS_DAILY,
    "technicals": TECHNICALS_DAILY,
    "fx": FX_CROSS_DAILY,
    "biofuel": BIOFUEL_DAILY,
    "golden_zone": GOLDEN_ZONE_DAILY,
    "policy": POLICY_DAILY,
    "open_interest": OPEN_INTEREST_DAILY,
}


def _fields(group: str, table: Table) -> tuple[str, ...]:
    """The columns of the table that become fields of the STRUCT."""
    if group == "fx":
        return tuple(fx.MATRIX_FIELDS)
    fields = next(names(column.fields) for column in MATRIX_STRUCTS if column.name == group)
    return tuple(name for name in fields if name in names(table.columns))


DAILY_ML_MATRIX = Table(
    dataset="features",
    name="daily_ml_matrix",
    description="Everything known of a symbol at its decision time, one row per symbol and trade date.",
    columns=(
        *pick("symbol data_date timestamp session_quality"),
        *MATRIX_STRUCTS,
        *pick("regime_name feature_version"),
    ),
    key=("symbol", "data_date"),
    partitioning=Daily("data_date"),
    layer="features",
    required=frozenset({"timestamp", "market_data", "regime", "regime_name", "feature_version"}),
    cluster=("symbol", "regime_name"),
    reads=(
        Read(FUTURES_CONTINUOUS_1D.id, columns=matrix.INPUTS),
        *(Read(item.id, columns=("date", "symbol", *_fields(group, item))) for group, item in MATRIX_FAMILIES.items()),
        Read(REGIME_CALENDAR.id, columns=regimes.CALENDAR_INPUTS),
        Read(REGIME_WEIGHTS.id, columns=regimes.WEIGHT_INPUTS),
    ),
)
