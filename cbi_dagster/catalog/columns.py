"""The global column dictionary: one name, one type, one unit, one meaning.

A column name that appears in two tables means the same in both. Prices are in the quote unit of the row's product
(`universe.yaml`); columns starting with `adj_` are on the forward-ratio-adjusted scale, on which the first contract
of the history has factor 1.
"""

from __future__ import annotations

from cbi_dagster.catalog.indicator_columns import BIOFUEL, FX, FX_CROSS, TECHNICALS
from cbi_dagster.catalog.mes_columns import (
    BAR_TECHNICALS,
    GOLDEN_ZONE,
    GOLDEN_ZONE_BAR,
    GOLDEN_ZONE_SESSION,
    PERIOD_BARS,
)
from cbi_dagster.catalog.model import Column, Type

_S, _I, _F, _B, _D, _T = Type.STRING, Type.INT64, Type.FLOAT64, Type.BOOL, Type.DATE, Type.TIMESTAMP
_PRICE = "quote unit"

_IDENTITY = [
    Column("date", _D, "Trade date: the date of America/Chicago wall-clock time plus seven hours."),
    Column("data_date", _D, "Trade date the row describes; features are as known at its decision time."),
    Column("symbol", _S, "Market: the root for the platform's continuous series, else the vendor's symbol."),
    Column("root", _S, "Product root, e.g. ZL."),
    Column("contract", _S, "Contract the prices belong to, e.g. ZLZ5; NULL when the vendor names only an id."),
    Column(
        "instrument_id",
        _I,
        "Vendor's id of the contract, unique within a day only; negative where the delivery named "
        "the contract but gave no id.",
    ),
    Column("publisher_id", _I, "Vendor's id of the publisher (venue feed).", ge=0),
    Column("exchange", _S, "Venue of the product."),
    Column("currency", _S, "Currency of the price."),
    Column("timestamp", _T, "Decision time of the row: the session close of its symbol (UTC)."),
    Column("ts_event", _T, "Start of the bar (UTC, inclusive)."),
    Column(
        "bar_close_ts",
        _T,
        "End of the bar's block, anchored at 17:00 America/Chicago of its session (UTC, exclusive).",
    ),
]

_BARS = [
    Column("open", _F, "First traded price of the bar or session, unadjusted.", _PRICE),
    Column("high", _F, "Highest traded price, unadjusted.", _PRICE),
    Column("low", _F, "Lowest traded price, unadjusted.", _PRICE),
    Column("close", _F, "Last traded price, unadjusted.", _PRICE),
    Column("volume", _I, "Contracts traded.", "contracts", ge=0),
    Column("settle", _F, "Settlement price of the trade date; NULL until statistics are landed.", _PRICE),
    Column(
        "open_interest",
        _I,
        "Open contracts at the end of the trade date; NULL until statistics are landed.",
        "contracts",
        ge=0,
    ),
    Column(
        "session_instrument_id",
        _I,
        "Contract that the vendor's mapping names for the UTC date equal to the trade "
        "date; NULL when no landed mapping covers that date.",
    ),
    Column("session_covered", _B, "Whether landed data covers the bar's session from open to close."),
    Column("source_file", _S, "Name of the landed file the bar came from; not part of the row's content."),
    Column("source_row", _I, "Row (0-based) in that file; not part of the row's content.", ge=0),
    Column("dataset", _S, "Vendor dataset, e.g. GLBX.MDP3; simulated data says SIM.DEMO."),
]

_SESSIONS = [
    Column(
        "vwap",
        _F,
        "Sum of typical price x volume over the session's intraday bars divided by their volume; "
        "typical price is (high + low + close) / 3. NULL without intraday bars.",
        _PRICE,
    ),
    Column(
        "realized_vol_1h",
        _F,
        "Square root of the sum of squared 1-hour log returns inside the session (the first "
        "from the session's open); not annualised. NULL without intraday bars.",
        "fraction",
        ge=0,
    ),
    Column(
        "close_decision",
        _F,
        "Close of the last intraday bar completed by 13:20 America/Chicago of the trade date; NULL when none was.",
        _PRICE,
    ),
    Column(
        "bar_source",
        _S,
        "What the session was built from: the finest stored schema that covers it.",
        isin=("ohlcv-1m", "ohlcv-1h", "utc_1d", "utc_1d_merged"),
    ),
    Column("bar_count", _I, "Source bars of the session's contract.", "bars", ge=1),
    Column("session_close_ts", _T, "Scheduled close of the session (UTC)."),
    Column(
        "boundary_instrument_id",
        _I,
        "Contract of the bars that this session rejected as roll_boundary because "
        "they precede the switch; NULL when there were none.",
    ),
    Column(
        "boundary_close", _F, "Close of the last such bar: the old contract's last price before the switch.", _PRICE
    ),
]

_CONTINUOUS = [
    Column("is_roll", _B, "Whether the session trades another contract than the previous one."),
    Column(
        "roll_gap",
        _F,
        "New contract's price minus the old one's at the switch, unadjusted; NULL without a roll.",
        _PRICE,
    ),
    Column(
        "roll_method",
        _S,
        "How the roll's factor was found: both_legs compares the two contracts' closes of the "
        "session before; adjacent_bars compares the old contract's last bar with the new contract's first; "
        "undefined marks a price that is not positive.",
        isin=("both_legs", "adjacent_bars", "undefined"),
    ),
    Column(
        "roll_span_trade_dates",
        _I,
        "Trade dates between the two prices of the roll's factor: 0 when both belong to "
        "one session; NULL without a roll.",
        "trade dates",
        ge=0,
    ),
    Column(
        "adj_factor",
        _F,
        "Forward ratio factor of the session's contract: 1 for the first contract, then the "
        "product of old/new price ratios. NULL once a ratio was undefined.",
        "ratio",
        gt=0,
    ),
    Column("adj_open", _F, "open x adj_factor.", "adjusted price"),
    Column("adj_high", _F, "high x adj_factor.", "adjusted price"),
    Column("adj_low", _F, "low x adj_factor.", "adjusted price"),
    Column("adj_close", _F, "close x adj_factor.", "adjusted price"),
    Column("adj_close_decision", _F, "close_decision x adj_factor.", "adjusted price"),
]

_PER_YEAR = "fraction per year"

_VOLATILITY = [
    *(
        Column(
            f"realized_vol_{n}d",
            _F,
            f"Sample standard deviation of the last {n} daily log returns of adj_close x sqrt(252).",
            _PER_YEAR,
            ge=0,
        )
        for n in (5, 10, 21, 63)
    ),
    Column(
        "parkinson_vol_21d",
        _F,
        "sqrt(mean ln(high / low)^2 / (4 ln 2)) of the last 21 sessions x sqrt(252).",
        _PER_YEAR,
        ge=0,
    ),
    Column(
        "vol_percentile",
        _F,
        "Share of the realized_vol_21d of the last 252 sessions ending at the row that are <= the "
        "row's; NULL before 126 are known.",
        "fraction",
        ge=0,
        le=1,
    ),
    Column(
        "k_vol",
        _F,
        "realized_vol_21d over its median of the last 252 sessions ending at the row, clamped to 0.5..3; "
        "NULL before 126 are known.",
        "ratio",
        ge=0.5,
        le=3,
    ),
]

_LEVELS = {
    "P": ("Pivot", "(H+L+C)/3"),
    "R1": ("Resistance 1", "2P-L"),
    "R2": ("Resistance 2", "P+(H-L)"),
    "R3": ("Resistance 3", "H+2(P-L)"),
    "R4": ("Resistance 4", "H+3(P-L)"),
    "S1": ("Support 1", "2P-H"),
    "S2": ("Support 2", "P-(H-L)"),
    "S3": ("Support 3", "L-2(H-P)"),
    "S4": ("Support 4", "L-3(H-P)"),
}
_MIDS = ("P and R1", "R1 and R2", "R2 and R3", "R3 and R4", "P and S1", "S1 and S2", "S2 and S3", "S3 and S4")
_CONFLUENCE = "How many of P, R1, S1, R2, S2, WP, MP lie within"

_PIVOTS = [
    *(
        Column(prefix + level, _F, f"{word} of the prior {period}: {formula}.", _PRICE)
        for prefix, period in (("", "session"), ("W", "ISO week"), ("M", "calendar month"))
        for level, (word, formula) in _LEVELS.items()
        if not prefix or level not in ("R4", "S4")
    ),
    *(Column(f"M{number}", _F, f"Mid-point of {pair}.", _PRICE) for number, pair in enumerate(_MIDS, start=1)),
    Column("current_price", _F, "Unadjusted close of the row's trade date.", _PRICE),
    Column("atr_14", _F, "Simple mean of the last 14 true ranges, in the price of the row's contract.", _PRICE, ge=0),
    *(
        Column(f"distance_to_{level}", _F, f"current_price - {level}, signed.", _PRICE)
        for level in ("P", "R1", "S1", "R2", "S2", "R3", "S3")
    ),
    Column("distance_to_P_atr", _F, "distance_to_P / atr_14, signed.", "ATR"),
    Column(
        "distance_to_nearest_pivot",
        _F,
        "Unsigned distance from current_price to the nearest of P, R1..R4, S1..S4, M1, M5.",
        _PRICE,
        ge=0,
    ),
    Column(
        "nearest_pivot_type",
        _S,
        "Name of that nearest level (the first of equals in that order).",
        isin=(*_LEVELS, "M1", "M5"),
    ),
    Column("price_above_P", _B, "current_price > P."),
    Column("price_between_R1_R2", _B, "R1 <= current_price <= R2."),
    Column("price_between_S1_P", _B, "S1 <= current_price <= P."),
    *(
        column
        for period, level in (("weekly", "WP"), ("monthly", "MP"))
        for column in (
            Column(f"{period}_pivot_distance", _F, f"Unsigned distance from current_price to {level}.", _PRICE, ge=0),
            Column(f"{period}_pivot_distance_signed", _F, f"current_price - {level}.", _PRICE),
        )
    ),
    Column("pivot_confluence_count", _I, f"{_CONFLUENCE} 0.25 atr_14 of current_price.", "levels", ge=0, le=7),
    Column(
        "pivot_confluence_count_fixed",
        _I,
        f"{_CONFLUENCE} the symbol's fixed tolerance of current_price; NULL for symbols without one.",
        "levels",
        ge=0,
        le=7,
    ),
    Column("pivot_zone_strength", _I, "pivot_confluence_count clamped to 1..5.", "levels", ge=1, le=5),
    Column("pivot_confluence_3_or_higher", _B, "pivot_confluence_count >= 3."),
    Column(
        "price_rejected_R1_twice",
        _B,
        "At least 2 of the 3 sessions before had high > R1 and close < R1, each with its own day's R1.",
    ),
    Column(
        "price_bouncing_off_S1",
        _B,
        "Of the 3 sessions before at least 1 had low <= S1 and at least 2 had close >= P, "
        "each with its own day's levels.",
    ),
    Column(
        "price_stuck_between_R1_S1_for_3_days", _B, "All 3 sessions before closed within [S1, R1] of their own day."
    ),
    Column(
        "weekly_pivot_flip",
        _B,
        "The session before and this one closed strictly on opposite sides of their own day's WP.",
    ),
]

_RETRACEMENTS = (("236", "23.6"), ("382", "38.2"), ("50", "50"), ("618", "61.8"), ("786", "78.6"))
_EXTENSIONS = (
    ("100", "100"),
    ("1236", "123.6"),
    ("1382", "138.2"),
    ("1618", "161.8"),
    ("200", "200"),
    ("2618", "261.8"),
)

_FIBS = [
    Column("swing_date_low", _D, "Session of the leg's low close."),
    Column("swing_date_high", _D, "Session of the leg's high close."),
    Column("leg_confirmed_date", _D, "Session whose close confirmed the leg's later end."),
    Column(
        "zigzag_threshold",
        _F,
        "Reversal that confirms a pivot: 3 x median over the window of (mean of 14 true ranges / "
        "close), clamped to 0.005..0.15.",
        "fraction",
        ge=0.005,
        le=0.15,
    ),
    Column("trend_direction", _S, "up when the leg's low came first, else down.", isin=("up", "down")),
    Column("days_since_swing", _I, "From the leg's later end to the row's trade date.", "calendar days", ge=0),
    Column("swing_low_price", _F, "Low close of the leg in the price of the row's contract.", _PRICE),
    Column("swing_high_price", _F, "High close of the leg in the price of the row's contract.", _PRICE),
    *(
        Column(f"retrace_{name}", _F, f"{pct} % retracement of the leg from its later end.", _PRICE)
        for name, pct in _RETRACEMENTS
    ),
    *(
        Column(f"ext_{name}", _F, f"{pct} % extension of the leg, measured from its earlier end.", _PRICE)
        for name, pct in _EXTENSIONS
    ),
    Column("swing_position_pct", _F, "100 x (close - low) / (high - low) of the leg; may leave 0..100.", "percent"),
    Column("price_near_618_retrace", _B, "current_price lies within the symbol's tolerance (else 1 %) of retrace_618."),
    Column("price_near_1618_ext", _B, "current_price lies within the symbol's tolerance (else 1 %) of ext_1618."),
    Column(
        "price_near_any_major",
        _B,
        "price_near_618_retrace or price_near_1618_ext, or within 1 % of retrace_382, retrace_50 or ext_100.",
    ),
]

_REGIMES = [
    Column("regime", _S, "Name of the market regime in force on the trade date."),
    Column("regime_name", _S, "regime, at the top level because BigQuery cannot cluster on STRUCT fields."),
    Column("valid_from", _D, "First date of the regime (inclusive)."),
    Column("valid_to", _D, "Last date of the regime (inclusive); NULL for the fallback."),
    Column("is_fallback", _B, "Whether no declared regime covers the date and the baseline stands in."),
    Column("weight", _I, "Training weight of the regime.", "weight", ge=1, le=1000),
    Column("description", _S, "What the regime is."),
    Column("research_rationale", _S, "Why it is weighted as it is."),
    Column("known_from", _D, "First date on which the regime could have been named; no model input before."),
]

_POLICY = [
    Column("trump_action_prob", _F, "Highest probability of any policy action.", "fraction", ge=0, le=1),
    Column("trump_expected_zl_move", _F, "Expected move of soybean oil over all actions.", "fraction", ge=-0.1, le=0.1),
    Column(
        "trump_score",
        _F,
        "1 - product of (1 - score) over the events of the last 72 h, decayed.",
        "fraction",
        ge=0,
        le=1,
    ),
    Column("trump_score_signed", _F, "Sum of signed event scores, clamped.", "fraction", ge=-1, le=1),
    Column("trump_confidence", _F, "Score-weighted mean source confidence.", "fraction", ge=0, le=1),
    Column("trump_sentiment_7d", _F, "Mean event sentiment of the last 7 calendar days.", "-1..1", ge=-1, le=1),
    Column("trump_tariff_intensity", _F, "100 tanh(tariff score / 50), the day's highest.", "0..100", ge=0, le=100),
    Column("trump_procurement_alert", _B, "Whether an action with probability above 0.30 is of high urgency."),
    Column("trump_mentions", _I, "Events of the last 24 h that mention Trump.", "events", ge=0),
    Column("trumpxi_china_mentions", _I, "Events of the last 24 h that mention China and Trump or Xi.", "events", ge=0),
    Column(
        "trumpxi_sentiment_volatility", _F, "Standard deviation of the sentiment of such events over 7 days.", "", ge=0
    ),
    Column("trumpxi_policy_impact", _F, "Mean signed score of such events of the last 24 h.", "fraction"),
    Column("trumpxi_volatility_30d_ma", _F, "30-calendar-day mean of trumpxi_sentiment_volatility.", "", ge=0),
    Column(
        "trump_soybean_sentiment_7d",
        _F,
        "7-day mean sentiment of events that name soy and Trump.",
        "-1..1",
        ge=-1,
        le=1,
    ),
    Column(
        "policy_trump_topic_multiplier", _F, "Topic multiplier of the highest-scored event.", "fraction", ge=0, le=1
    ),
    Column("policy_trump_recency_decay", _F, "exp(-hours since the latest scored event / 24).", "fraction", ge=0, le=1),
]

_MATRIX = [
    Column("feature_version", _S, "Version of the set of features in the row."),
]

_HORIZON_SESSIONS = {"1d": 1, "7d": 5, "1w": 5, "1m": 21, "30d": 21, "3m": 63, "6m": 126, "12m": 252}
_BAR_HORIZONS = ("1min", "5min", "15min", "30min", "1hr", "4hr")

_TRAINING = [
    Column("training_weight", _I, "Weight of the row in training: its regime's weight.", "weight", ge=1, le=1000),
    *(
        column
        for name, sessions in _HORIZON_SESSIONS.items()
        for column in (
            Column(f"target_{name}", _F, f"adj_close {sessions} sessions ahead / adj_close - 1.", "fraction", gt=-1),
            Column(
                f"target_price_{name}",
                _F,
                f"Close {sessions} sessions ahead, quoted in the contract of the row's date.",
                _PRICE,
            ),
            Column(f"target_direction_{name}", _I, f"Sign of target_{name}.", "", ge=-1, le=1),
        )
    ),
    *(
        column
        for name in _BAR_HORIZONS
        for column in (
            Column(f"target_{name}", _F, f"Close of the {name} bar right after / close - 1.", "fraction", gt=-1),
            Column(f"target_price_{name}", _F, f"Close of the {name} bar right after.", _PRICE),
            Column(f"target_direction_{name}", _I, f"Sign of target_{name}.", "", ge=-1, le=1),
        )
    ),
    Column("target_date", _D, "Trade date whose close is the target."),
    Column("target_ts", _T, "bar_close_ts of the bar whose close is the target (UTC)."),
    Column("horizon_sessions", _I, "Sessions from the row to its target.", "sessions", ge=1),
    Column("horizon_minutes", _I, "Minutes from the row's bar_close_ts to target_ts.", "minutes", ge=1),
    Column(
        "split",
        _S,
        "Training split; purged rows have labels that reach into the next split, or lie in the embargo before it.",
        isin=("train", "val", "test", "purged"),
    ),
    Column(
        "as_of", _T, "Instant as of which the features are known: the row's decision time, or the bar's close (UTC)."
    ),
    Column("source_run_id", _S, "Run that wrote the row of features; not part of the row's content."),
]

_MACRO = [
    Column("series_id", _S, "Macro series, e.g. SB."),
    Column(
        "reference_date", _D, "Day, or first day of the period, that the value describes (calendar date, any weekday)."
    ),
    Column("value", _F, "Value of the series in `unit`.", "see unit"),
    Column("available_at", _T, "When this vintage of the value became public (UTC)."),
    Column("unit", _S, "Unit of the value, the same in all rows of a series."),
    Column("series_source", _S, "Who published the value."),
    Column(
        "trade_date_available",
        _D,
        "First trade date at whose decision time (13:20 America/Chicago) the vintage is known.",
    ),
]

_OPS = [
    Column("table_name", _S, "Table a record is about, `dataset.name`."),
    Column("partition_key", _S, "Dagster partition key: a trade date, the first day of a month, or `all`."),
    Column("content_hash", _S, "Digest of the partition's rows without audit columns."),
    Column("row_count", _I, "Rows of the partition.", "rows", ge=0),
    Column("written_at", _T, "When the partition's content last changed (UTC)."),
    Column("written_run", _S, "Run that wrote the content."),
    Column("code_version", _S, "Code version of the table under which the content was last confirmed."),
    Column("input_fingerprint", _S, "Digest of the inputs' content in the declared window when last confirmed."),
    Column("verified_at", _T, "When the content was last confirmed (UTC)."),
    Column("verified_run", _S, "Run that confirmed the content."),
    Column("reason", _S, "Why a row was rejected or held back."),
    Column("detail", _S, "The rejected values, for a person to read."),
    Column(
        "vendor_schema",
        _S,
        "Vendor schema of a file or bar; `macro` for a file of macro series, empty for rows of a table.",
        isin=("ohlcv-1m", "ohlcv-1h", "ohlcv-1d", "macro", ""),
    ),
    Column("bar_rows", _I, "Number of bars or rows.", "rows", ge=0),
    Column("file_hash", _S, "SHA-256 of a landed file."),
    Column("landing_sequence", _I, "Landing order: on the same bar the higher number wins.", ge=0),
    Column("file_bytes", _I, "Size of the file.", "bytes", ge=0),
    Column("stype_in", _S, "How the request named its symbols.", isin=("continuous", "parent", "raw_symbol")),
    Column("span_start", _T, "Start of what the file covers (UTC, inclusive)."),
    Column("span_end", _T, "End of what the file covers (UTC, exclusive)."),
    Column("file_rows", _I, "Rows of the file.", "rows", ge=0),
    Column("kept_rows", _I, "Rows taken as bars of the universe or as vintages of a series.", "rows", ge=0),
    Column(
        "rejected_rows",
        _I,
        "Rows rejected with a reason, those of symbols outside the universe not counted.",
        "rows",
        ge=0,
    ),
    Column("outside_rows", _I, "Rows of symbols outside the universe, left out.", "rows", ge=0),
    Column("landed_at", _T, "When the file was landed (UTC)."),
    Column("mapping_start", _D, "First UTC date of a symbol's mapping (inclusive)."),
    Column("mapping_end", _D, "End of a symbol's mapping (UTC date, exclusive)."),
    *(
        Column(f"{side}_{name}", _F, f"{word} {name} of a corrected bar.", _PRICE)
        for side, word in (("old", "Earlier"), ("new", "Corrected"))
        for name in ("open", "high", "low", "close")
    ),
    Column("old_volume", _I, "Earlier volume of a corrected bar.", "contracts", ge=0),
    Column("new_volume", _I, "Corrected volume of a corrected bar.", "contracts", ge=0),
    Column("old_instrument_id", _I, "Earlier contract of a corrected bar."),
    Column("new_instrument_id", _I, "Corrected contract of a corrected bar."),
    Column("event_id", _S, "Identity of a landing or of one table's write within a run."),
    Column("source", _S, "What ran: a vendor file name or a table."),
    Column("run_status", _S, "How it ended.", isin=("running", "success", "failed")),
    Column("started_at", _T, "When it started (UTC)."),
    Column("ended_at", _T, "When it ended (UTC)."),
    Column("rows_in", _I, "Rows that went in.", "rows", ge=0),
    Column("rows_out", _I, "Rows that came out.", "rows", ge=0),
    Column("rows_rejected", _I, "Rows rejected with a reason.", "rows", ge=0),
    Column(
        "rows_held_back",
        _I,
        "Rows held back: bars until their session is complete, training rows without a label.",
        "rows",
        ge=0,
    ),
    Column("partitions_written", _I, "Partitions whose content changed.", "partitions", ge=0),
    Column("partitions_unchanged", _I, "Partitions confirmed as they were.", "partitions", ge=0),
    Column("error_message", _S, "What went wrong, NULL on success."),
]

_ALL = (
    *_IDENTITY,
    *_BARS,
    *_SESSIONS,
    *_CONTINUOUS,
    *_VOLATILITY,
    *_PIVOTS,
    *_FIBS,
    *TECHNICALS,
    *FX,
    *FX_CROSS,
    *BIOFUEL,
    *_MACRO,
    *_REGIMES,
    *_POLICY,
    *BAR_TECHNICALS,
    *PERIOD_BARS,
    *GOLDEN_ZONE,
    *GOLDEN_ZONE_BAR,
    *GOLDEN_ZONE_SESSION,
    *_MATRIX,
    *_TRAINING,
    *_OPS,
)

DICTIONARY: dict[str, Column] = {column.name: column for column in _ALL}
if len(DICTIONARY) != len(_ALL):
    raise ValueError("the column dictionary declares a name twice")


def pick(names: str) -> tuple[Column, ...]:
    """Columns of the dictionary by name, separated by white space; KeyError for a name it does not have."""
    return tuple(DICTIONARY[name] for name in names.split())
