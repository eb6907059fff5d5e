"""Landed sources other than futures bars."""

from __future__ import annotations

import pandas as pd

from cbi_dagster.catalog.tables.raw_intelligence import MACRO_SERIES
from cbi_dagster.recipes.recipe import recipe


@recipe(MACRO_SERIES)
def macro_series(macro: pd.DataFrame) -> pd.DataFrame:
    return macro
