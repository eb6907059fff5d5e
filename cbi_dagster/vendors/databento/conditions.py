"""The vendor's word on its days: condition.json of a batch download, or the same list of days in a file of its own.

A file `condition.json` or `<anything>.condition.json` has, for each UTC day, `date`, `condition` (available, degraded,
pending or missing) and `last_modified_date`; `metadata.get_dataset_condition` of the vendor's API answers with the same
list. It is about the one vendor dataset of a warehouse. Of several statements about a day the one landed last holds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import pandas as pd

from cbi_dagster.catalog import Table
from cbi_dagster.catalog.columns.conditions import CONDITIONS
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.catalog.tables.market_data import DATABENTO_CONDITIONS
from cbi_dagster.config.universe import Universe
from cbi_dagster.vendors.files import AGAIN, Content, CorruptFileError, shown
from cbi_dagster.vendors.kinds import Examined, Landed, LandedFile, within

_NAME = "condition.json"


def decode_conditions(content: Content) -> pd.DataFrame:
    """One row per UTC day: `utc_date`, `condition`, `last_modified_date` (NaT for a missing day).

    Raises CorruptFileError.
    """
    try:
        days = json.loads(content.data)
        if not isinstance(days, list):
            raise ValueError("no list of days")
        rows = pd.DataFrame(
            [(day["date"], shown(day["condition"], 40), day.get("last_modified_date")) for day in days],
            columns=["utc_date", "condition", "last_modified_date"],
        )
        for name in ("utc_date", "last_modified_date"):
            rows[name] = pd.to_datetime(rows[name], format="%Y-%m-%d").astype("datetime64[ns]")
        if rows["utc_date"].isna().any() or rows["utc_date"].duplicated().any():
            raise ValueError("a day is missing or stated twice")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptFileError(content.path, f"it is no list of the vendor's days ({error})", AGAIN) from error
    return rows


class Conditions:
    """Files with the vendor's word on its days."""

    tables: ClassVar[Mapping[str, Table]] = {"conditions": DATABENTO_CONDITIONS}
    naming = f"{_NAME} or <name>.{_NAME}"
    one_dataset = False
    read_whole = True

    def __init__(self, universe: Universe) -> None:
        """What the vendor says of a day is said of all markets; the universe does not matter."""

    @staticmethod
    def recognises(name: str) -> bool:
        return name == _NAME or name.endswith(f".{_NAME}")

    def examine(self, content: Content, landed_at: pd.Timestamp) -> Examined:
        days = decode_conditions(content)
        # Sunday evening is Monday's, and nothing is traded on a Saturday.
        weekdays = np.busday_offset(days["utc_date"].to_numpy().astype("datetime64[D]"), 0, roll="forward")
        spans = days["utc_date"].dt.tz_localize("UTC")
        return Examined(
            dataset="CONDITIONS",
            schema="conditions",
            stype_in=None,
            start=spans.min() if len(spans) else landed_at,
            end=spans.max() + pd.Timedelta(days=1) if len(spans) else landed_at,
            rows=len(days),
            kept=days.assign(date=weekdays.astype("datetime64[ns]"))[list(CONDITIONS)],
            rejected=pd.DataFrame(),
            outside={},
            symbols=pd.DataFrame(),
        )

    def corrections(self, file: LandedFile, before: Landed) -> pd.DataFrame:
        """None: `last_modified_date` says when the vendor changed its mind."""
        return pd.DataFrame()

    def returns(self, file: LandedFile, landed: Landed) -> pd.DataFrame:
        return pd.DataFrame()

    def trade_dates(self, files: Sequence[LandedFile], landed: Landed) -> np.ndarray:
        dates = [landed.kept(file)["date"].to_numpy() for file in files]
        return np.unique(np.concatenate([np.empty(0, "datetime64[D]"), *dates]).astype("datetime64[D]"))

    def until(self, instant: pd.Timestamp, kept: pd.DataFrame, schema: str) -> pd.DataFrame:
        return kept[kept["utc_date"] < instant.tz_convert(None)]

    def read(self, schema: str, intervals: Sequence[Interval], landed: Landed) -> pd.DataFrame:
        frames = [landed.kept(file) for file in landed.of(schema)]
        if not frames:
            return to_frame(DATABENTO_CONDITIONS, DATABENTO_CONDITIONS.arrow_schema().empty_table())
        said = pd.concat(frames, ignore_index=True).drop_duplicates("utc_date", keep="last")
        return said[within(said["date"].to_numpy(), intervals)].sort_values("utc_date", ignore_index=True)
