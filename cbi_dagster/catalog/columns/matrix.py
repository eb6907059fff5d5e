"""The matrix: everything known of a symbol at its decision time."""

from __future__ import annotations

from cbi_dagster.catalog.columns.bars import OHLCV
from cbi_dagster.catalog.model import Column, Type

COLUMNS = (Column("feature_version", Type.STRING, "Version of the set of features in the row."),)

SESSION = (*OHLCV, "vwap", "realized_vol_1h")
"""What the matrix takes of the session itself."""
INPUTS = ("date", "symbol", "session_close_ts", "session_quality", *SESSION)
"""What the matrix needs of the continuous series."""
