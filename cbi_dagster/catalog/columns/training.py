"""Labels, weights and splits of training rows."""

from __future__ import annotations

from cbi_dagster.catalog.columns.bars import PRICE
from cbi_dagster.catalog.model import Column, Type
from cbi_dagster.config.horizons import load_horizons

_S, _I, _F, _D, _T = Type.STRING, Type.INT64, Type.FLOAT64, Type.DATE, Type.TIMESTAMP

#: Two symbols may have a horizon of one name; it must mean the same.
_DAILY = dict.fromkeys((horizon.name, horizon.sessions) for horizon in load_horizons().daily_horizons)
_INTRADAY = dict.fromkeys(horizon.name for horizon in load_horizons().intraday_horizons)

COLUMNS = (
    Column("training_weight", _I, "Weight of the row in training: its regime's weight.", "weight", ge=1, le=1000),
    *(
        column
        for name, sessions in _DAILY
        for column in (
            Column(f"target_{name}", _F, f"adj_close {sessions} sessions ahead / adj_close - 1.", "fraction", gt=-1),
            Column(
                f"target_price_{name}",
                _F,
                f"Close {sessions} sessions ahead, quoted in the contract of the row's date.",
                PRICE,
            ),
            Column(f"target_direction_{name}", _I, f"Sign of target_{name}.", "", ge=-1, le=1),
        )
    ),
    *(
        column
        for name in _INTRADAY
        for column in (
            Column(f"target_{name}", _F, f"Close of the {name} bar right after / close - 1.", "fraction", gt=-1),
            Column(f"target_price_{name}", _F, f"Close of the {name} bar right after.", PRICE),
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
)

LABEL_INPUTS = ("date", "symbol", "session_quality", "close", "adj_factor")
"""What labels of sessions need of the continuous series."""
QUALITY_INPUTS = ("date", "symbol", "session_quality")
"""What labels of bars need of it."""

_ROLES = {
    "key": "symbol data_date bar_close_ts",
    "label": " ".join(column.name for column in COLUMNS if column.name.startswith("target_")),
    "weight": "training_weight",
    "split": "split",
    "about": "session_quality regime horizon_sessions horizon_minutes as_of source_run_id",
}


def role(column: str) -> str:
    """What a column of a training table is for.

    `feature`: known at the row's decision time, to learn from. `label`: what came true later. `key`, `weight`, `split`.
    `about`: what is known about the row and is not to be learned from.
    """
    return next((name for name, columns in _ROLES.items() if column in columns.split()), "feature")
