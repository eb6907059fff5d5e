"""Vintages of macro series, as screening makes them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cbi_dagster.config.universe import load_universe
from cbi_dagster.vendors.macro import screen_macro


def vintages(*rows: tuple[str, str, float, str], unit: str = "percent") -> pd.DataFrame:
    """Screened vintages: (series_id, reference date, value, available_at)."""
    frame = pd.DataFrame(
        {
            "series_id": pd.Series([row[0] for row in rows], dtype=object),
            "reference_date": pd.to_datetime(pd.Series([row[1] for row in rows], dtype=object)).astype(
                "datetime64[ns]"
            ),
            "value": np.array([row[2] for row in rows], dtype=np.float64),
            "available_at": pd.to_datetime(pd.Series([row[3] for row in rows], dtype=object), utc=True).astype(
                "datetime64[ns, UTC]"
            ),
            "unit": pd.Series([unit] * len(rows), dtype=object),
            "series_source": pd.Series(["S"] * len(rows), dtype=object),
            "source_row": np.arange(len(rows)),
        }
    )
    return screen_macro(frame, load_universe()).series


def utc(*instants: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(list(instants), tz="UTC")
