"""Feature families and the matrix."""

from __future__ import annotations

from cbi_dagster.catalog.columns import DICTIONARY, pick
from cbi_dagster.catalog.indicator_columns import BIOFUEL, FX, FX_CROSS, FX_FIELDS, TECHNICALS, names
from cbi_dagster.catalog.model import Read, Table, renamed, struct
from cbi_dagster.catalog.partitioning import INCEPTION, Daily, Inception
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D
from cbi_dagster.catalog.tables.mes import GOLDEN_ZONE_DAILY
from cbi_dagster.catalog.tables.raw_intelligence import MACRO_SERIES
from cbi_dagster.catalog.tables.regimes import REGIME_CALENDAR, REGIME_WEIGHTS

#: How far back a row of `biofuel_daily` reads, and how old the macro values of its first day may be.
BIOFUEL_BACK_TRADE_DATES, MACRO_STALE_TRADE_DATES = 38, 5
#: How far back a row of `fx_cross_daily` reads; the pure function enforces it (a test keeps the two in step).
CROSS_BACK_TRADE_DATES = 115


def _family(name: str, description: str, columns: str, back: int | Inception, prices: str = "") -> Table:
    """A feature family over the continuous series, one row per symbol and trade date.

    `prices`: the columns that it reads of a long history (empty: all).
    """
    return Table(
        dataset="features",
        name=name,
        description=description,
        columns=pick(f"date symbol {columns}"),
        key=("symbol", "date"),
        partitioning=Daily("date"),
        layer="features",
        cluster=("symbol",),
        reads=(Read(FUTURES_CONTINUOUS_1D.id, back=back, columns=tuple(prices.split())),),
    )


VOLATILITY_DAILY = _family(
    "volatility_daily",
    "Realized volatilities of the adjusted series and where today's stands in its own past.",
    "realized_vol_1h realized_vol_5d realized_vol_10d realized_vol_21d realized_vol_63d parkinson_vol_21d "
    "vol_percentile k_vol",
    back=311,
)
PIVOT_MATH_DAILY = _family(
    "pivot_math_daily",
    "Floor-trader pivots of the prior session, week and month in the price of the row's contract, distances to them, "
    "confluence and pattern flags.",
    "P R1 R2 R3 R4 S1 S2 S3 S4 M1 M2 M3 M4 M5 M6 M7 M8 WP WR1 WR2 WR3 WS1 WS2 WS3 MP MR1 MR2 MR3 MS1 MS2 MS3 "
    "current_price atr_14 distance_to_P distance_to_R1 distance_to_S1 distance_to_R2 distance_to_S2 distance_to_R3 "
    "distance_to_S3 distance_to_P_atr distance_to_nearest_pivot nearest_pivot_type price_above_P price_between_R1_R2 "
    "price_between_S1_P weekly_pivot_distance weekly_pivot_distance_signed monthly_pivot_distance "
    "monthly_pivot_distance_signed pivot_confluence_count pivot_confluence_count_fixed pivot_zone_strength "
    "pivot_confluence_3_or_higher price_rejected_R1_twice price_bouncing_off_S1 price_stuck_between_R1_S1_for_3_days "
    "weekly_pivot_flip",
    back=44,
)
FIB_LEVELS_DAILY = _family(
    "fib_levels_daily",
    "Fibonacci levels of the last confirmed swing of adjusted closes, in the price of the row's contract.",
    "swing_date_low swing_date_high leg_confirmed_date zigzag_threshold trend_direction days_since_swing "
    "swing_low_price swing_high_price retrace_236 retrace_382 retrace_50 retrace_618 retrace_786 ext_100 ext_1236 "
    "ext_1382 ext_1618 ext_200 ext_2618 current_price swing_position_pct price_near_618_retrace price_near_1618_ext "
    "price_near_any_major",
    back=162,
)
TECHNICALS_DAILY = _family(
    "technicals_daily",
    "Technical indicators of every market on adjusted prices, quoted in the price of the row's contract.",
    names(TECHNICALS),
    back=INCEPTION,
    prices="date symbol volume adj_factor adj_high adj_low adj_close",
)
FX_DAILY = _family(
    "fx_daily",
    "Technicals of the currency markets in dollars per unit of the currency, known at their close.",
    names(FX),
    back=INCEPTION,
    prices="date symbol low high close close_decision adj_factor adj_low adj_high adj_close adj_close_decision",
)
FX_CROSS_DAILY = _family(
    "fx_cross_daily",
    "The currencies together, and with ZL, as they stood at ZL's decision time (13:20 Chicago).",
    names(FX_CROSS),
    back=CROSS_BACK_TRADE_DATES,
)

BIOFUEL_DAILY = Table(
    dataset="features",
    name="biofuel_daily",
    description="Biofuel economics of soybean oil on unadjusted prices as they stood at ZL's decision time (13:20 "
    "Chicago): spreads, margins and RIN proxies, with their means and volatilities. Proxies are no market prices.",
    columns=pick(f"date symbol {names(BIOFUEL)}"),
    key=("symbol", "date"),
    partitioning=Daily("date"),
    layer="features",
    cluster=("symbol",),
    reads=(
        Read(FUTURES_CONTINUOUS_1D.id, back=BIOFUEL_BACK_TRADE_DATES),
        Read(MACRO_SERIES.id, back=BIOFUEL_BACK_TRADE_DATES + MACRO_STALE_TRADE_DATES, looked_up=True),
    ),
)

MATRIX_STRUCTS = (
    struct(
        "market_data", "The session of the row's contract.", pick("open high low close volume vwap realized_vol_1h")
    ),
    struct(
        "pivots",
        "Where the close stands among the pivots of the prior session and week.",
        pick("P R1 R2 S1 S2 distance_to_P distance_to_nearest_pivot weekly_pivot_distance price_above_P"),
    ),
    struct(
        "policy",
        "Policy events known at the row's decision time; NULL where no source covers the date.",
        pick(
            "trump_action_prob trump_expected_zl_move trump_score trump_score_signed trump_confidence "
            "trump_sentiment_7d trump_tariff_intensity trump_procurement_alert trump_mentions trumpxi_china_mentions "
            "trumpxi_sentiment_volatility trumpxi_policy_impact trumpxi_volatility_30d_ma trump_soybean_sentiment_7d "
            "policy_trump_topic_multiplier policy_trump_recency_decay"
        ),
    ),
    struct(
        "golden_zone",
        "The golden-zone state machine of MES; NULL for other symbols.",
        pick("state swing_high swing_low fib_50 fib_618 vol_decay_slope qualified_trigger"),
    ),
    struct(
        "regime",
        "The regime in force and how volatile the symbol is against its own past.",
        (
            renamed(DICTIONARY["regime"], "name"),
            *pick("weight vol_percentile k_vol"),
        ),
    ),
    struct(
        "fibs",
        "Fibonacci levels of the last confirmed swing.",
        pick(
            "trend_direction swing_high_price swing_low_price days_since_swing retrace_236 retrace_382 retrace_50 "
            "retrace_618 retrace_786 ext_100 ext_1236 ext_1382 ext_1618 ext_200 ext_2618 swing_position_pct "
            "price_near_618_retrace price_near_1618_ext price_near_any_major"
        ),
    ),
    struct("technicals", "Technical indicators of the symbol itself.", TECHNICALS),
    struct(
        "fx",
        "The currencies at ZL's decision time, and how ZL moves with them; NULL for other symbols.",
        tuple(renamed(DICTIONARY[name], field) for name, field in FX_FIELDS.items()),
    ),
    struct(
        "biofuel",
        "Biofuel economics of soybean oil at ZL's decision time; NULL for other symbols. Means and volatilities of "
        "these are in `biofuel_daily`.",
        tuple(column for column in BIOFUEL if not column.name.endswith(("_ma30", "_vol20"))),
    ),
)

DAILY_ML_MATRIX = Table(
    dataset="features",
    name="daily_ml_matrix",
    description="Everything known of a symbol at its decision time, one row per symbol and trade date.",
    columns=(*pick("symbol data_date timestamp"), *MATRIX_STRUCTS, *pick("regime_name feature_version")),
    key=("symbol", "data_date"),
    partitioning=Daily("data_date"),
    layer="features",
    required=frozenset({"timestamp", "market_data", "regime", "regime_name", "feature_version"}),
    cluster=("symbol", "regime_name"),
    reads=(
        Read(FUTURES_CONTINUOUS_1D.id),
        Read(VOLATILITY_DAILY.id),
        Read(PIVOT_MATH_DAILY.id),
        Read(FIB_LEVELS_DAILY.id),
        Read(TECHNICALS_DAILY.id),
        Read(FX_CROSS_DAILY.id),
        Read(BIOFUEL_DAILY.id),
        Read(GOLDEN_ZONE_DAILY.id),
        Read(REGIME_CALENDAR.id),
        Read(REGIME_WEIGHTS.id),
    ),
)
