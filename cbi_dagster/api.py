"""What a notebook or a service takes from the platform: tables, training frames, features of a moment, folds.

Everything here reads. A read sees one moment of the warehouse, and lets go of it before the rows are worked on: nobody
who writes waits for a model to be trained.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from cbi_dagster.catalog import ASSET_TABLES, TABLES, Table, Type, table
from cbi_dagster.catalog.columns.training import role
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.model import Column
from cbi_dagster.catalog.partitioning import BEGINNING, END, Interval
from cbi_dagster.catalog.tables.features import DAILY_ML_MATRIX
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D
from cbi_dagster.config.horizons import Horizon, IntradayHorizon, Splits, load_horizons
from cbi_dagster.home import Home
from cbi_dagster.training.folds import purged_folds
from cbi_dagster.training.splits import SPLITS
from cbi_dagster.warehouse.contract import Warehouse
from cbi_dagster.warehouse.ledger import NOTHING, Ledger

if TYPE_CHECKING:
    import polars

    from cbi_dagster.warehouse.sql import Parameter

Date = str | dt.date
_RECENT_TRADE_DATES = 15
"""In how many trade dates a symbol that is traded has a session."""


class NoRowsError(ValueError):
    """What was asked for has no rows; the message says why, and what there is."""


@dataclass(frozen=True)
class ModelFrame:
    """Rows of a training table, taken apart by what a model may do with them; all parts have the same index.

    `X`: the features: floats, integers and booleans (nullable where a value is unknown), strings as categories with
    the same categories in every split. `y`: the target, a simple return. `weight`: the regime's weight of the row.
    `dates`: trade dates; `target_dates`: the trade dates on which the targets came true. `rest`: all other columns of
    the table: other labels, split, regime, quality of the session, as_of.
    `roles`: what each column of the table is for (`feature`, `label`, `weight`, `split`, `key`, `about`).
    `left_out`: features that are not in `X`, and why. They are judged on the train split, whichever one is asked for,
    so that the frames of all splits have the same columns.
    `version`: a digest of the contents that were read: two frames of one version are equal to the last bit.
    """

    table: str
    X: pd.DataFrame
    y: pd.Series
    weight: pd.Series
    dates: pd.DatetimeIndex
    target_dates: pd.DatetimeIndex
    rest: pd.DataFrame
    roles: Mapping[str, str]
    left_out: Mapping[str, str]
    version: str


class Tables:
    """The tables of a home, to read. Dates are inclusive, in ISO form or as `datetime.date`; None: no bound."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse

    def names(self) -> list[str]:
        """The ids of all tables that the platform makes, inputs first."""
        return [item.id for item in ASSET_TABLES]

    def arrow(
        self,
        name: str,
        *,
        start: Date | None = None,
        end: Date | None = None,
        symbols: Sequence[str] = (),
        columns: Sequence[str] = (),
    ) -> pa.Table:
        """Rows of a table, sorted by its key: of these trade dates, symbols and columns only (empty: all)."""
        return self._read(table(name), start, end, symbols, columns)

    def pandas(
        self,
        name: str,
        *,
        start: Date | None = None,
        end: Date | None = None,
        symbols: Sequence[str] = (),
        columns: Sequence[str] = (),
    ) -> pd.DataFrame:
        """The same as a frame: STRUCTs as columns `<struct>_<field>`, dates at midnight, other times in UTC."""
        declared = table(name)
        return to_frame(declared, self._read(declared, start, end, symbols, columns))

    def polars(
        self,
        name: str,
        *,
        start: Date | None = None,
        end: Date | None = None,
        symbols: Sequence[str] = (),
        columns: Sequence[str] = (),
    ) -> polars.DataFrame:
        """The same as a polars frame; polars must be installed."""
        import polars

        frame = polars.from_arrow(self._read(table(name), start, end, symbols, columns))
        assert isinstance(frame, polars.DataFrame)
        return frame

    def sql(self, text: str, **parameters: Parameter) -> pa.Table:
        """The answer to one SELECT in the dialect of `sql/`, over tables and views; `parameters` are its @names.

        Nothing can be changed by it. Raises QueryError (a ValueError) for what is no query or cannot be answered here.
        """
        return self.warehouse.query(text, **parameters)

    def version(self, name: str, *, start: Date | None = None, end: Date | None = None) -> str:
        """A digest of the contents of a table in these dates: it changes when, and only when, a row does."""
        declared = table(name)
        ledger = self.warehouse.ledger_by_table({declared.id}).get(declared.id, NOTHING)
        return ledger.digest(declared, [_interval(start, end)])

    def _read(
        self, declared: Table, start: Date | None, end: Date | None, symbols: Sequence[str], columns: Sequence[str]
    ) -> pa.Table:
        bounded = (start, end) != (None, None)
        if bounded and not declared.partitioning.column:
            raise ValueError(f"{declared.id} has no dates: leave start and end out")
        intervals = [_interval(start, end)] if bounded else None
        with self.warehouse.snapshot():
            return self.warehouse.read(declared, intervals, columns, symbols)


def open_warehouse(home: str | os.PathLike[str] | None = None) -> Tables:
    """The tables of a home: of `CBI_HOME` (default ./.cbi), or of the directory named.

    Raises NoRowsError where nothing was landed, UnfinishedRebuildError for what `cbi rebuild` has not ended.
    """
    place = Home.from_environment() if home is None else Home(Path(home).expanduser().resolve())
    warehouse = place.warehouse()
    if not warehouse.exists():
        raise NoRowsError(
            f"nothing is landed in {place.place}; `cbi land PATH` takes vendor files, `cbi demo` simulates some. "
            "CBI_HOME, or the argument `home`, names the state directory"
        )
    place.require_whole()
    warehouse.ensure(TABLES.values())
    return Tables(warehouse)


def load_training_frame(
    symbol: str,
    horizon: str,
    *,
    split: str | None = None,
    home: str | os.PathLike[str] | Tables | None = None,
) -> ModelFrame:
    """The rows of a training table, e.g. of ("ZL", "1w"), by date.

    `split`: `train`, `val` or `test`; None: all rows, those that are purged between splits included (for
    `walk_forward`, which purges by itself). `home`: as for `open_warehouse`, or what it gave.
    Raises ValueError for a table or split that there is not, NoRowsError where it has no rows.
    """
    declared, splits = _training_table(symbol, horizon)
    if split is not None and split not in SPLITS:
        raise ValueError(f"there is no split {split!r}: {', '.join(SPLITS)}, or None for all rows")
    tables = home if isinstance(home, Tables) else open_warehouse(home)
    # What is left out of X is judged on the train split.
    periods = (
        [(BEGINNING, END)] if split is None else [_period(name, splits) for name in dict.fromkeys(("train", split))]
    )
    columns = [column.name for column in declared.columns]
    with tables.warehouse.snapshot():
        data = tables.warehouse.read(declared, periods, columns)
        ledger = tables.warehouse.ledger_by_table({declared.id}).get(declared.id, NOTHING)
    rows = to_frame(declared, data)
    own = np.ones(len(rows), bool) if split is None else (rows["split"] == split).to_numpy()
    if not own.any():
        raise NoRowsError(_why_empty(declared, ledger, rows, split, splits))
    roles = {name: role(name) for name in columns}
    learnt = (rows["split"] == "train").to_numpy()
    features = _features(declared, rows[[name for name in columns if roles[name] == "feature"]])
    left_out = dict(_uninformative(features[learnt if learnt.any() else own]))
    at = "bar_close_ts" if declared.intraday else "data_date"
    index = pd.DatetimeIndex(rows.loc[own, at], name=at)
    rows, features = rows[own].set_axis(index), features[own].set_axis(index)
    ends = "target_ts" if declared.intraday else "target_date"
    return ModelFrame(
        table=declared.id,
        X=features.drop(columns=list(left_out)),
        y=rows[f"target_{horizon}"],
        weight=rows["training_weight"].astype(np.float64),
        dates=pd.DatetimeIndex(rows["data_date"], name="data_date"),
        target_dates=pd.DatetimeIndex(rows["data_date" if declared.intraday else ends], name="target_date"),
        rest=rows[[name for name in columns if roles[name] not in ("feature", "weight")]],
        roles=roles,
        left_out=left_out,
        version=ledger.digest(declared, periods),
    )


def load_features(
    symbol: str,
    *,
    as_of: Date | pd.Timestamp | None = None,
    home: str | os.PathLike[str] | Tables | None = None,
) -> pd.DataFrame:
    """The features of one trade date in one row: the bits that its training row has, once its target has come.

    `as_of`: a trade date; or an instant with a time zone, for the last row that was known by then; None: the last row.
    The columns are those of `load_training_frame(…).X` and those left out of it: `model.predict(row[frame.X.columns])`.
    Raises NoRowsError where there is no row, ValueError for a symbol without daily training tables.
    """
    horizons = load_horizons().daily(symbol)
    if not horizons:
        known = sorted({horizon.symbol for horizon in load_horizons().daily_horizons})
        raise ValueError(f"there are no daily training tables of {symbol!r}; there are of {', '.join(known)}")
    declared, _ = _training_table(symbol, horizons[0].name)
    tables = home if isinstance(home, Tables) else open_warehouse(home)
    with tables.warehouse.snapshot():
        day = _day_of(tables.warehouse, symbol, as_of)
        parts = []
        for item in declared.reads:
            if item.source != FUTURES_CONTINUOUS_1D.id:
                source = table(item.source)
                data = tables.warehouse.read(source, [(day, day)], item.columns, (symbol,))
                parts.append(to_frame(source, data))
    if any(part.empty for part in parts):
        raise NoRowsError(f"{symbol} has no features for {day}: not every table that they are of is built")
    rows = pd.concat([part.drop(columns=["date"], errors="ignore") for part in parts], axis="columns")
    rows = rows.loc[:, ~rows.columns.duplicated()]
    names = [column.name for column in declared.columns if role(column.name) == "feature"]
    return _features(declared, rows[names]).set_axis(pd.DatetimeIndex([day], name="data_date"))


def walk_forward(
    frame: ModelFrame,
    *,
    folds: int = 5,
    test_dates: int | None = None,
    train_dates: int | None = None,
    embargo: int = 1,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions of the training and of the test rows of each fold, as scikit-learn's `cv=` takes them.

    Test periods follow one another to the end of the frame, each of `test_dates` trade dates (default: the later half
    of the frame, shared among the folds). Training rows lie before the test period, and so do their targets; the
    `embargo` trade dates right before it are left out, and only `train_dates` are looked back on (None: all).
    Raises ValueError where the frame is too short.
    """
    return purged_folds(
        frame.dates.to_numpy(),
        frame.target_dates.to_numpy(),
        folds=folds,
        test_dates=test_dates,
        train_dates=train_dates,
        embargo=embargo,
    )


def _training_table(symbol: str, horizon: str) -> tuple[Table, Splits]:
    horizons = load_horizons()
    for daily in horizons.daily(symbol):
        if daily.name == horizon:
            return table(f"{symbol.lower()}_training_prod_allhistory_{horizon}"), horizons.splits_of(daily)
    if any(intraday.name == horizon for intraday in horizons.intraday(symbol)):
        return table(f"{symbol.lower()}_training_prod_allhistory_{horizon}"), horizons.splits
    every: list[Horizon | IntradayHorizon] = [*horizons.daily_horizons, *horizons.intraday_horizons]
    names = [item.name for item in every if item.symbol == symbol]
    symbols = sorted({item.symbol for item in every})
    raise ValueError(
        f"{symbol} has no horizon {horizon!r}: {', '.join(names)}"
        if names
        else f"there are no training tables of {symbol!r}: they are of {', '.join(symbols)}"
    )


def _period(split: str, splits: Splits) -> Interval:
    """First and last date of a split, both inclusive."""
    train_to, val_to = np.datetime64(splits.train_to, "D"), np.datetime64(splits.val_to, "D")
    return {"train": (BEGINNING, train_to), "val": (train_to + 1, val_to), "test": (val_to + 1, END)}[split]


def _interval(start: Date | None, end: Date | None) -> Interval:
    try:
        first = np.datetime64(start, "D") if start else BEGINNING
        return first, np.datetime64(end, "D") if end else END
    except ValueError as error:
        raise ValueError(f"{start or ''} … {end or ''}: dates are written like 2024-06-03") from error


def _features(declared: Table, rows: pd.DataFrame) -> pd.DataFrame:
    """Features in dtypes that models take; values are untouched."""

    def column(name: str) -> Any:
        meant, values = declared.column(name), rows[name]
        if meant.type is Type.STRING:
            return pd.Categorical(values, categories=_categories(meant))
        if isinstance(values.dtype, pd.Int64Dtype | pd.BooleanDtype) and values.notna().all():
            # What is known throughout needs no mask.
            return values.astype(np.int64 if meant.type is Type.INT64 else np.bool_)
        return values

    return pd.DataFrame({name: column(name) for name in rows.columns}, index=rows.index)


def _categories(column: Column) -> list[str]:
    if column.isin is None:
        raise TypeError(f"{column.name} is a feature whose possible values are not declared (`isin`)")
    return list(column.isin)


def _uninformative(features: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Columns that teach nothing in these rows, and why."""
    for name, values in features.items():
        known = values.dropna()
        if known.empty:
            yield str(name), "NULL throughout"
        elif len(known) == len(values) and known.nunique() == 1:
            yield str(name), f"always {known.iloc[0]}"


def _day_of(warehouse: Warehouse, symbol: str, as_of: Date | pd.Timestamp | None) -> np.datetime64:
    """The trade date that is meant: the symbol has a row of the matrix for it."""
    day, instant = _meant(as_of)
    ledger = warehouse.ledger_by_table({DAILY_ML_MATRIX.id}).get(DAILY_ML_MATRIX.id, NOTHING)
    keys = ledger.keys[(ledger.row_counts > 0) & (ledger.keys <= day)][-_RECENT_TRADE_DATES:]
    if not len(keys):
        raise NoRowsError(
            f"there are no features up to {day}: `cbi refresh` builds what is landed, `cbi status` says what"
        )
    data = warehouse.read(DAILY_ML_MATRIX, [(keys[0], keys[-1])], ("symbol", "data_date", "timestamp"), (symbol,))
    rows = to_frame(DAILY_ML_MATRIX, data)
    if instant is not None:
        rows = rows[rows["timestamp"] <= instant]
    dates = rows["data_date"].to_numpy().astype("datetime64[D]")
    if not len(dates):
        raise NoRowsError(f"{symbol} has no features of {keys[0]} … {keys[-1]}")
    if as_of is not None and instant is None and dates[-1] != day:
        raise NoRowsError(
            f"{symbol} has no features of {day}, which may be no session of it, or is not complete or not built yet; "
            f"the last before are of {dates[-1]}"
        )
    return np.datetime64(dates[-1], "D")


def _meant(as_of: Date | pd.Timestamp | None) -> tuple[np.datetime64, pd.Timestamp | None]:
    """The last trade date that may be meant, and the instant by which its row was known if one was named."""
    if as_of is None:
        return END, None
    try:
        moment = pd.Timestamp(as_of)
    except ValueError as error:
        raise ValueError(f"as_of is {as_of!r}: a date like 2024-06-03, or an instant like 2024-06-03T18:30Z") from error
    if moment.tzinfo is None:
        if moment != moment.normalize():
            raise ValueError(f"as_of is {as_of!r}: an instant needs a time zone, e.g. 2024-06-03T18:30Z")
        return np.datetime64(moment.date(), "D"), None
    # A row is known on its trade date; the date in Chicago may be a day behind that in UTC, never ahead of it.
    return np.datetime64(moment.tz_convert("UTC").date(), "D"), moment


def _why_empty(declared: Table, ledger: Ledger, rows: pd.DataFrame, split: str | None, splits: Splits) -> str:
    """Why there is nothing to train or try a model on, in a sentence."""
    filled = ledger.keys[ledger.row_counts > 0]
    if not len(filled):
        known = "has no rows: no target has come yet" if len(ledger.keys) else "is not built: `cbi refresh` builds it"
        return f"{declared.id} {known}; `cbi status` says what is landed and what was held back"
    first, last = filled[0], declared.partitioning.span(filled[-1])[1]
    assert split is not None
    begins, ends = _period(split, splits)
    meant = " … ".join([*([] if split == "train" else [str(begins)]), *([] if split == "test" else [str(ends)])])
    period = {"train": f"up to {meant}", "val": meant, "test": f"from {meant}"}[split]
    dates = rows["data_date"].to_numpy().astype("datetime64[D]")
    purged = int(((rows["split"] == "purged").to_numpy() & (dates >= begins) & (dates <= ends)).sum())
    return (
        f"{declared.id} has no rows in the split {split} ({period}): it has rows of {first} … {last}"
        + (f", and {purged} of the split are purged, since their targets lie in the next one" if purged else "")
        + ". Splits are set in config/horizons.yaml"
    )
