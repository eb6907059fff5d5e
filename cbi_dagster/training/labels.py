"""Forward returns on the adjusted continuous series."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cbi_dagster.catalog.columns.sessions import WITHOUT_LABELS
from cbi_dagster.catalog.columns.training import LABEL_INPUTS
from cbi_dagster.catalog.frames import require
from cbi_dagster.config.horizons import Horizon

NOT_MATURED = "not_matured"
"""Why a session has no label: its target session has not come, or the return is undefined (`labels`)."""
SESSION_REASONS = {quality: f"session_{quality}" for quality in WITHOUT_LABELS}
TARGET_REASONS = {quality: f"target_session_{quality}" for quality in WITHOUT_LABELS}
"""Why a session has no label: it, or its target session, is not what the exchange held; by `session_quality`."""


def labels(continuous: pd.DataFrame, horizon: Horizon) -> pd.DataFrame:
    """Labels of one horizon for every session of `futures_continuous_1d`, sorted by symbol and date.

    With h = `horizon.sessions` and the symbol's own sessions t, t+1, …:
        target_{name} = adj_close[t+h] / adj_close[t] - 1, a simple return that no roll distorts: with both in one
            contract it is that contract's own, to the last bit;
        target_price_{name} = adj_close[t+h] / adj_factor[t]: the later close quoted in the contract of t, so that
            target_price / close - 1 = target;
        target_direction_{name} = the sign of the target; target_date = the trade date of t+h.
    All four are NULL while t+h has not come, where a close is not positive or has no factor, where t or t+h is a
    session without labels (WITHOUT_LABELS), and where t+h lies more than `horizon.forward_trade_dates` weekdays ahead:
    across such a hole h sessions are not the horizon they are named for, and a label must not depend on more of the
    future than its table declares. `unlabelled` says why a row has no label, None where it has one. Raises
    InvalidFrameError for a symbol with two rows of one date: sessions could not be counted.
    """
    what, key = "rows of futures_continuous_1d", ("symbol", "date")
    require(continuous, LABEL_INPUTS, what)
    names = continuous["symbol"].to_numpy(object)
    symbol = pd.factorize(names, sort=True)[0]
    dates = continuous["date"].to_numpy("datetime64[ns]").astype("datetime64[D]")
    order = np.lexsort((dates, symbol))
    symbol, dates = symbol[order], dates[order]
    if (symbol < 0).any() or np.isnat(dates).any() or ((np.diff(symbol) == 0) & (dates[1:] == dates[:-1])).any():
        require(continuous, LABEL_INPUTS, what, key=key)
    count, h = len(order), horizon.sessions
    ahead = np.minimum(np.arange(count) + h, max(count - 1, 0))
    close, factor = (continuous[name].to_numpy(np.float64)[order] for name in ("close", "adj_factor"))
    matured = (np.arange(count) + h < count) & (symbol[ahead] == symbol)
    matured &= np.busday_count(dates, dates[ahead]) <= horizon.forward_trade_dates
    matured &= ~np.isnan(factor) & ~np.isnan(factor[ahead]) & (close > 0) & (close[ahead] > 0)
    unlabelled = np.full(count, None, dtype=object)
    unlabelled[~matured] = NOT_MATURED
    quality = continuous["session_quality"].to_numpy(object)[order]
    for part, reason in TARGET_REASONS.items():
        unlabelled[matured & (quality[ahead] == part)] = reason
    for part, reason in SESSION_REASONS.items():
        unlabelled[quality == part] = reason
    matured = pd.isna(unlabelled)
    # The factors are compared first: of one contract they are equal, and nothing is rounded.
    price = np.where(matured, close[ahead] * (factor[ahead] / factor), np.nan)
    target = np.where(matured, price / np.where(matured, close, 1.0) - 1.0, np.nan)
    direction = pd.array(np.sign(np.nan_to_num(target)).astype(np.int64), dtype="Int64")
    direction[~matured] = pd.NA
    return pd.DataFrame(
        {
            "symbol": names[order],
            "date": dates.astype("datetime64[ns]"),
            f"target_{horizon.name}": target,
            f"target_price_{horizon.name}": price,
            f"target_direction_{horizon.name}": direction,
            "target_date": np.where(matured, dates[ahead], np.datetime64("NaT", "D")).astype("datetime64[ns]"),
            "unlabelled": unlabelled,
        }
    )
