"""condition.json of a batch download: what the vendor says of the quality of its days."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cbi_dagster.vendors.files import AGAIN, Content, CorruptFileError, DeliveredFile, content_of, shown


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


def landed_conditions(
    files: Sequence[DeliveredFile], dataset_of: dict[Path, str], known: set[str], landed_at: pd.Timestamp
) -> tuple[list[pd.DataFrame], list[DeliveredFile]]:
    """Rows of `ops.vendor_conditions` of new files, and those files beside which no data says of which dataset.

    `dataset_of`: the dataset of the bars in each directory. `known`: hashes of the files that have landed.
    """
    frames, alone = [], []
    for file in files:
        content = content_of(file)
        if content.sha256 in known:
            continue
        dataset = dataset_of.get(file.path.parent)
        if dataset is None:
            alone.append(file)
            continue
        known.add(content.sha256)
        rows = decode_conditions(content)
        frames.append(rows.assign(file_hash=content.sha256, dataset=dataset, landed_at=landed_at))
    return frames, alone
