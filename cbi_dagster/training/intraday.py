"""Intraday training rows: a bar's features beside the return of the bar right after it.

The *next bar* of a bar is that of the block right after it, in the same session. A session has one contract, so the
two are of one contract and no adjustment enters their return; a label never spans the night, a weekend or a roll.
Where the next block has no bar (nobody traded, an exchange halt such as the one of 15:15 to 15:30 Chicago until 2021,
a hole in the data) the next close lies further ahead than the horizon says, and the label is unknown: no stand-in
price is made up for it. Models of such bars are therefore models of moments after which trading went on.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cbi_dagster.catalog.frames import require_order
from cbi_dagster.config.horizons import CommonSplits, IntradayHorizon
from cbi_dagster.market.sessions import utc_instants
from cbi_dagster.matrix.regimes import RegimeCache
from cbi_dagster.training.frames import TrainingFrame, of_dates
from cbi_dagster.training.labels import SESSION_REASONS
from cbi_dagster.training.splits import split_of

SESSION_END, GAP, NO_PRICE = "session_end", "gap", "no_price"
"""Why a bar has no label: it is the last of its session; the block after it has no bar; a price is not positive."""

#: What the bars call otherwise.
_RENAMED = {"date": "data_date", "run_id": "source_run_id"}


def next_bar_labels(bars: pd.DataFrame, horizon: IntradayHorizon) -> pd.DataFrame:
    """Labels of every bar, on the index and in the order of `bars`.

    `bars`: one symbol's bars of the horizon, all those of each session, ascending by `bar_close_ts`; `date`,
    `bar_close_ts`, `close`. With c the close of a bar and c' that of the bar right after it (see above):
        target_{name} = c' / c - 1; target_price_{name} = c'; target_direction_{name} = the sign of the target;
        target_ts = the later bar's `bar_close_ts`, `horizon.minutes` after the bar's own.
    All four are NULL where `unlabelled` (one of SESSION_END, GAP, NO_PRICE, else None) says why.
    Raises InvalidFrameError for bars that are not in ascending order or of several symbols: the next one could not be
    told.
    """
    require_order(bars, "bar_close_ts", f"bars of {horizon.name}")
    closes_at = utc_instants(bars["bar_close_ts"]).astype("datetime64[ns]")
    dates, close = bars["date"].to_numpy("datetime64[ns]"), bars["close"].to_numpy(np.float64)
    count = len(bars)
    later_close, target_ts = np.full(count, np.nan), np.full(count, np.datetime64("NaT"), "datetime64[ns]")
    later_close[:-1], target_ts[:-1] = close[1:], closes_at[1:]
    last = np.ones(count, bool)
    last[:-1] = dates[1:] != dates[:-1]
    right_after = target_ts - closes_at == np.timedelta64(horizon.minutes, "m")
    priced = (close > 0) & (later_close > 0)
    known = ~last & right_after & priced
    target = np.full(count, np.nan)
    np.divide(later_close, close, out=target, where=known)
    target -= 1.0
    direction = pd.array(np.sign(np.nan_to_num(target)).astype(np.int64), dtype="Int64")
    direction[~known] = pd.NA
    reason = np.full(count, None, dtype=object)
    for why, where in ((NO_PRICE, ~priced), (GAP, ~right_after), (SESSION_END, last)):
        reason[where] = why
    return pd.DataFrame(
        {
            f"target_{horizon.name}": target,
            f"target_price_{horizon.name}": np.where(known, later_close, np.nan),
            f"target_direction_{horizon.name}": direction,
            "target_ts": pd.DatetimeIndex(np.where(known, target_ts, np.datetime64("NaT")), tz="UTC"),
            "unlabelled": reason,
        },
        index=bars.index,
    )


def split_by_label(
    bars: pd.DataFrame, sessions: pd.DataFrame, regimes: RegimeCache, horizon: IntradayHorizon, splits: CommonSplits
) -> TrainingFrame:
    """The horizon's bars in order of time with label, regime, weight and split, apart from those without a label.

    `bars`: rows of `features.mes_{name}`, whole sessions in any order; `sessions`: rows of `futures_continuous_1d` of
    their dates. Bars of a session without labels (WITHOUT_LABELS) have none, whatever their own would be. `as_of` is
    the bar's close: all its features are known then. The training weight is that of the regime of the bar's trade date
    and is no feature. A bar belongs to the split of its trade date; labels end in the same session, so none has to be
    purged for its label, and the bars of the last `splits.intraday_embargo_trade_dates` weekdays before a boundary are:
    they are `purged` too.
    Raises RegimeNotCoveredError for a date without a regime, UnmatchedRowsError for one without a session.
    """
    # Labels are made on the few columns that they need: minutes are gigabytes, and are copied once.
    own = np.flatnonzero((bars["symbol"] == horizon.symbol).to_numpy(bool))
    order = own[np.argsort(utc_instants(bars["bar_close_ts"])[own], kind="stable")]
    keys = bars[["symbol", "date", "bar_close_ts", "close"]].take(order).reset_index(drop=True)
    label = next_bar_labels(keys, horizon)
    unlabelled = label.pop("unlabelled")
    quality = of_dates(
        sessions.loc[sessions["symbol"] == horizon.symbol, ["symbol", "date", "session_quality"]],
        keys["date"].to_numpy(),
        f"{horizon.symbol} rows of features.mes_{horizon.name}",
        "market_data.futures_continuous_1d",
    )["session_quality"]
    without_labels = quality.map(SESSION_REASONS)
    unlabelled = without_labels.where(without_labels.notna(), unlabelled)
    known = unlabelled.isna().to_numpy()
    left_out = keys.loc[~known, ["symbol", "date", "bar_close_ts"]].assign(reason=unlabelled[~known])
    rows = bars.take(order[known])
    rows.index = pd.RangeIndex(len(rows))
    days = rows["date"].to_numpy("datetime64[D]")
    regime = regimes.lookup(days)
    embargoed_until = pd.Series(np.busday_offset(days, splits.intraday_embargo_trade_dates))
    named = {_RENAMED.get(str(name), str(name)): values for name, values in rows.items()}
    columns = {
        **named,
        **label[known].reset_index(drop=True),
        "session_quality": quality[known].to_numpy(),
        "regime": regime["regime"].to_numpy(),
        "training_weight": regime["weight"].to_numpy(np.int64),
        "horizon_minutes": horizon.minutes,
        "split": split_of(rows["date"], embargoed_until, splits),
        "as_of": rows["bar_close_ts"],
    }
    rows = pd.DataFrame(columns, copy=False)
    return TrainingFrame(rows, left_out.rename(columns={"date": "data_date"}).reset_index(drop=True))
