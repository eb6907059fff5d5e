"""Vendor bars as landed, session bars and the continuous series."""

from __future__ import annotations

from cbi_dagster.catalog.columns import (
    bars,
    conditions,
    continuous,
    contracts,
    crush,
    decisions,
    futures_eod,
    instruments,
    pick,
    sessions,
    settlements,
    statistics,
)
from cbi_dagster.catalog.model import Read, Table, ordered
from cbi_dagster.catalog.partitioning import INCEPTION, Daily

_OHLC = (ordered("low", "open", "high"), ordered("low", "close", "high"))


def _landed(name: str, schema: str, what: str) -> Table:
    return Table(
        dataset="market_data",
        name=name,
        description=f"{what} of the universe, merged over all deliveries; a later one wins for its bars.",
        columns=pick(*bars.LANDED),
        key=("symbol", "ts_event"),
        partitioning=Daily("date"),
        layer="market_data",
        required=frozenset({"root", "instrument_id", *bars.OHLCV, "session_covered", "dataset"}),
        cluster=("root", "symbol"),
        reads=(Read(f"landing.{schema.replace('-', '_')}", columns=bars.LANDED),),
        row_checks=_OHLC,
        owners=("team:market-data",),
    )


OHLCV_1M = _landed("databento_futures_ohlcv_1m", "ohlcv-1m", "Vendor 1-minute bars")
OHLCV_1H = _landed("databento_futures_ohlcv_1h", "ohlcv-1h", "Vendor 1-hour bars")
OHLCV_UTC_1D = _landed("databento_futures_ohlcv_utc_1d", "ohlcv-1d", "Vendor UTC-day bars (not sessions)")

FUTURES_STATISTICS = Table(
    dataset="market_data",
    name="databento_futures_statistics",
    description="Settlements, cleared volumes and open interest of outrights, every record as it was published, by the "
    "trade date on which it was received. settlements_1d says what holds in the end.",
    columns=pick(*statistics.STATISTICS),
    key=statistics.KEY,
    partitioning=Daily("date"),
    layer="market_data",
    required=frozenset({"root", "instrument_id", "update_action", "dataset"}),
    cluster=("root", "symbol"),
    reads=(Read("landing.statistics", columns=statistics.STATISTICS),),
    owners=("team:market-data",),
)

INSTRUMENTS = Table(
    dataset="market_data",
    name="instruments",
    description="Outright futures as the exchange defined them, by the trade date on which the definition was "
    "received: the vendor restates every contract each day, and an id is a contract's for that day only.",
    columns=pick(*instruments.INSTRUMENTS),
    key=instruments.KEY,
    partitioning=Daily("date"),
    layer="market_data",
    required=frozenset({"root", "instrument_id", "instrument_class", "expiration", "dataset"}),
    cluster=("root", "symbol"),
    reads=(Read("landing.definition", columns=instruments.INSTRUMENTS),),
    row_checks=(ordered("activation", "expiration"),),
    owners=("team:market-data",),
)

DATABENTO_CONDITIONS = Table(
    dataset="market_data",
    name="databento_conditions",
    description="What the vendor says of the data of its UTC days: `degraded` and `missing` ones are no fault of the "
    "landing. Of several statements about a day the one landed last holds. Saturday and Sunday are in the partition of "
    "the Monday after.",
    columns=pick(*conditions.CONDITIONS),
    key=("utc_date",),
    partitioning=Daily("date"),
    layer="market_data",
    required=frozenset({"condition"}),
    reads=(Read("landing.conditions", columns=conditions.CONDITIONS),),
    owners=("team:market-data",),
)

SETTLEMENTS_1D = Table(
    dataset="market_data",
    name="settlements_1d",
    description="What holds of each outright's trade date by what the exchange published: settlement, open interest "
    "and cleared volume. Rows follow what is published, preliminary first; settlement_complete says when they stay.",
    columns=pick(*settlements.SETTLEMENTS),
    key=("symbol", "date"),
    partitioning=Daily("date"),
    layer="market_data",
    required=frozenset({"root", "instrument_id", "settlement_complete", "dataset"}),
    cluster=("root", "symbol"),
    reads=(Read(FUTURES_STATISTICS.id, forward=settlements.LATER_TRADE_DATES, columns=settlements.INPUTS),),
    owners=("team:market-data",),
)

FUTURES_EOD = Table(
    dataset="market_data",
    name="futures_eod",
    description="Settlement, open interest and volume of contracts by another vendor, never mixed with what Databento "
    "delivers. A row is in the partition of the trade date after its own, what is older than the first one in that.",
    columns=pick(*futures_eod.FUTURES_EOD),
    key=futures_eod.KEY,
    partitioning=Daily("trade_date_available"),
    layer="market_data",
    required=frozenset({"root", "ticker", "delivery_month", "last_trade_date", "dataset"}),
    cluster=("root", "symbol"),
    reads=(Read("landing.futures_eod", columns=futures_eod.FUTURES_EOD),),
    owners=("team:market-data",),
)

OHLCV_1D = Table(
    dataset="market_data",
    name="databento_futures_ohlcv_1d",
    description="Session bars: one row per symbol and trade date, made of one contract's bars from the finest stored "
    "schema that covers the session. The root is the symbol of the preferred continuous series. Settlement and open "
    "interest follow when they are published: settlement_complete says when they stay.",
    columns=pick(*sessions.SESSIONS),
    key=("symbol", "date"),
    partitioning=Daily("date"),
    layer="market_data",
    required=frozenset(
        {"root", "instrument_id", *bars.OHLCV, "bar_source", "bars_seen", "last_bar_end", "session_close_ts"}
    ),
    cluster=("symbol",),
    reads=(
        # The bars before a session say what is usual.
        *(
            Read(table.id, back=sessions.WINDOW_TRADE_DATES, columns=sessions.INPUTS)
            for table in (OHLCV_1M, OHLCV_1H, OHLCV_UTC_1D)
        ),
        # A session begins on the UTC day before its trade date.
        Read(DATABENTO_CONDITIONS.id, back=1, columns=conditions.INPUTS, looked_up=True),
        Read(SETTLEMENTS_1D.id, columns=settlements.SESSION_INPUTS, looked_up=True),
        # An id is a contract's for one day only.
        Read(INSTRUMENTS.id, columns=contracts.DEFINITION_INPUTS, looked_up=True),
    ),
    row_checks=_OHLC,
    owners=("team:market-data",),
)

FUTURES_CONTINUOUS_1D = Table(
    dataset="market_data",
    name="futures_continuous_1d",
    description="One continuous series per product: the front contract's session, its roll and its forward factor.",
    columns=pick(*continuous.CONTINUOUS),
    key=("symbol", "date"),
    partitioning=Daily("date"),
    layer="market_data",
    required=frozenset({"instrument_id", *bars.OHLCV, "bar_source", "last_bar_end", "session_close_ts", "is_roll"}),
    cluster=("symbol",),
    reads=(Read(OHLCV_1D.id, back=INCEPTION, columns=continuous.INPUTS),),
    row_checks=_OHLC,
    owners=("team:market-data",),
)

BARS_AT_DECISION = Table(
    dataset="market_data",
    name="databento_futures_decision_1d",
    description="The session of each symbol and trade date as it stood at the decision time (13:20 America/Chicago): "
    "from bars that had ended by then, whether or not the session is complete. A symbol of which none had is left out.",
    columns=pick(*decisions.BARS_AT_DECISION),
    key=("symbol", "date"),
    partitioning=Daily("date"),
    layer="market_data",
    required=frozenset({"root", "instrument_id", "open", "close_decision", "decision_bar_end", "bar_source"}),
    cluster=("symbol",),
    reads=tuple(Read(table.id, columns=decisions.BAR_INPUTS) for table in (OHLCV_1M, OHLCV_1H)),
    owners=("team:market-data",),
)

FUTURES_DECISION_1D = Table(
    dataset="market_data",
    name="futures_decision_1d",
    description="The front contract of each product as it stood at the decision time, with its forward factor: what "
    "rows of other markets may know of it. A product that had not traded since its last session has no row.",
    columns=pick(*decisions.AT_DECISION),
    key=("symbol", "date"),
    partitioning=Daily("date"),
    layer="market_data",
    required=frozenset({"instrument_id", "close_decision", "decision_bar_end"}),
    cluster=("symbol",),
    reads=(
        Read(BARS_AT_DECISION.id, columns=decisions.INPUTS),
        Read(OHLCV_1D.id, back=INCEPTION, columns=decisions.SESSION_INPUTS),
    ),
    owners=("team:market-data",),
)

CRUSH_LEGS_1D = Table(
    dataset="market_data",
    name="crush_legs_1d",
    description="Soybean oil, meal and soybeans in delivery months that go together, one row per ZL session: by the "
    "months of the outrights where they are known, else the continuous series while all three are in contracts that "
    "they rolled to together.",
    columns=pick(*crush.CRUSH_LEGS),
    key=("symbol", "date"),
    partitioning=Daily("date"),
    layer="market_data",
    cluster=("symbol",),
    reads=(
        Read(FUTURES_CONTINUOUS_1D.id, back=INCEPTION, columns=crush.SERIES_INPUTS, symbols=crush.ROOTS),
        Read(OHLCV_1D.id, columns=crush.SESSION_INPUTS),
    ),
    owners=("team:market-data",),
)

ROLL_CALENDAR = Table(
    dataset="market_data",
    name="roll_calendar",
    description="When each continuous series changed its contract, by the first session of the new one, with the dates "
    "that matter for the new contract and how its factor was found.",
    columns=pick(*contracts.ROLL_CALENDAR),
    key=("symbol", "date"),
    partitioning=Daily("date"),
    layer="market_data",
    required=frozenset({"instrument_id", "roll_method"}),
    cluster=("symbol",),
    reads=(
        Read(FUTURES_CONTINUOUS_1D.id, back=INCEPTION, columns=contracts.ROLL_INPUTS),
        Read(INSTRUMENTS.id, columns=contracts.DEFINITION_INPUTS, looked_up=True),
    ),
    owners=("team:market-data",),
)

FUTURES_CURVE_1D = Table(
    dataset="market_data",
    name="futures_curve_1d",
    description="Every contract of each product that is known by name and traded or was settled on a trade date on "
    "which the product has a session, up to its delivery month: outrights, and ranks of continuous symbols that a "
    "definition names.",
    columns=pick(*contracts.CURVE),
    key=("root", "contract", "date"),
    partitioning=Daily("date"),
    layer="market_data",
    required=frozenset({"instrument_id", "delivery_month"}),
    cluster=("root",),
    reads=(
        Read(OHLCV_1D.id, columns=contracts.SESSION_INPUTS),
        Read(SETTLEMENTS_1D.id, columns=settlements.SESSION_INPUTS),
        Read(INSTRUMENTS.id, columns=contracts.DEFINITION_INPUTS, looked_up=True),
    ),
    owners=("team:market-data",),
)
