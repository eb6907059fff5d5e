"""Training tables: the features of one symbol with point-in-time labels of one horizon."""

from __future__ import annotations

from collections.abc import Iterator

from cbi_dagster.catalog.columns import pick, regimes, training
from cbi_dagster.catalog.model import Column, Read, Table, Type, names, renamed
from cbi_dagster.catalog.partitioning import Monthly
from cbi_dagster.catalog.tables.features import DAILY_ML_MATRIX, MATRIX_STRUCTS
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D
from cbi_dagster.catalog.tables.mes import MES_HORIZONS_DAILY, MES_INTRADAY
from cbi_dagster.catalog.tables.regimes import REGIME_CALENDAR, REGIME_WEIGHTS
from cbi_dagster.config.horizons import Horizon, IntradayHorizon, load_horizons

#: STRUCTs of the matrix that only one symbol has. They are NULL for the others, whose tables leave them out: MES and ZL
#: share no features of each other's, and a column that is NULL throughout teaches nothing.
ONE_SYMBOL_STRUCTS = {"golden_zone": "MES", "fx": "ZL", "biofuel": "ZL"}


def _structs(symbol: str) -> Iterator[Column]:
    return (group for group in MATRIX_STRUCTS if ONE_SYMBOL_STRUCTS.get(group.name, symbol) == symbol)


def matrix_inputs(symbol: str) -> tuple[str, ...]:
    """What rows of a symbol need of the matrix."""
    return ("symbol", "data_date", "timestamp", "session_quality", *names(_structs(symbol)), "regime_name", "run_id")


def flattened(symbol: str) -> tuple[Column, ...]:
    """The symbol's STRUCT fields as columns named `<struct>_<field>`; the regime's name and weight are no features."""
    return tuple(
        renamed(part, f"{group.name}_{part.name}")
        for group in _structs(symbol)
        for part in group.fields
        if (group.name, part.name) not in (("regime", "name"), ("regime", "weight"))
    )


def _features(table: Table | None) -> tuple[Column, ...]:
    """Columns of a table of features that a model can learn from: neither its key nor dates."""
    columns = table.columns if table else ()
    return tuple(column for column in columns if column.type not in (Type.STRING, Type.DATE, Type.TIMESTAMP))


def _daily_table(horizon: Horizon, resampled: Table | None = None) -> Table:
    """`resampled`: further features of the same rows, one row per symbol and date."""
    label = horizon.name
    return Table(
        dataset="training",
        name=f"{horizon.symbol.lower()}_training_prod_allhistory_{label}",
        description=f"{horizon.symbol} matrix rows with the simple return over the next {horizon.sessions} session"
        f"{'s' if horizon.sessions > 1 else ''} as target. Rows whose target session has not come yet and rows that "
        "start or end in a session that is cut, holed or doubtful are left out.",
        columns=(
            *pick("symbol data_date session_quality"),
            *flattened(horizon.symbol),
            *_features(resampled),
            *pick(f"regime training_weight target_{label} target_price_{label} target_direction_{label} target_date"),
            *pick("horizon_sessions split as_of source_run_id"),
        ),
        key=("symbol", "data_date"),
        partitioning=Monthly("data_date"),
        layer="training",
        required=frozenset({"regime", "training_weight", f"target_{label}", "target_date", "split", "as_of"}),
        cluster=("regime",),
        reads=(
            Read(DAILY_ML_MATRIX.id, columns=matrix_inputs(horizon.symbol), symbols=(horizon.symbol,)),
            *((Read(resampled.id, columns=("date", "symbol", *names(_features(resampled)))),) if resampled else ()),
            Read(
                FUTURES_CONTINUOUS_1D.id,
                forward=horizon.forward_trade_dates,
                columns=training.LABEL_INPUTS,
                symbols=(horizon.symbol,),
            ),
        ),
        owners=("team:models",),
    )


def _intraday_table(horizon: IntradayHorizon, bars: Table) -> Table:
    label = horizon.name
    return Table(
        dataset="training",
        name=f"{horizon.symbol.lower()}_training_prod_allhistory_{label}",
        description=f"{horizon.symbol} bars of {label} with the simple return to the close of the bar right after, in "
        "the same session and contract, as target. Bars without one (the last of a session, a gap) and bars of "
        "sessions that are cut, holed or doubtful are left out.",
        columns=(
            *pick("symbol data_date bar_close_ts session_quality"),
            *_features(bars),
            *pick(f"regime training_weight target_{label} target_price_{label} target_direction_{label} target_ts"),
            *pick("horizon_minutes split as_of source_run_id"),
        ),
        key=("symbol", "bar_close_ts"),
        partitioning=Monthly("data_date"),
        layer="training",
        required=frozenset({"regime", "training_weight", f"target_{label}", "target_ts", "split", "as_of"}),
        cluster=("regime",),
        reads=(
            Read(bars.id, columns=("date", "symbol", "bar_close_ts", *names(_features(bars)), "run_id")),
            Read(FUTURES_CONTINUOUS_1D.id, columns=training.QUALITY_INPUTS, symbols=(horizon.symbol,), looked_up=True),
            Read(REGIME_CALENDAR.id, columns=regimes.CALENDAR_INPUTS),
            Read(REGIME_WEIGHTS.id, columns=regimes.WEIGHT_INPUTS),
        ),
        owners=("team:models",),
    )


ZL_TRAINING = tuple(_daily_table(horizon) for horizon in load_horizons().daily("ZL"))
MES_TRAINING = tuple(_daily_table(horizon, MES_HORIZONS_DAILY) for horizon in load_horizons().daily("MES"))
MES_BAR_TRAINING = tuple(
    _intraday_table(horizon, bars) for horizon, bars in zip(load_horizons().intraday("MES"), MES_INTRADAY, strict=True)
)
