"""The symbology.json of a batch download: which contract each symbol stood for."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pandas as pd

from cbi_dagster.vendors.databento.bar_files import MAPPING_COLUMNS
from cbi_dagster.vendors.files import AGAIN, Content, CorruptFileError, DeliveredFile, content_of

EARLIEST, LATEST = dt.date(1970, 1, 1), dt.date(2200, 1, 1)  # nanoseconds count to 2262


def mapping_frame(rows: list[tuple[str, dt.date, dt.date, int]]) -> pd.DataFrame:
    """Rows of a `BarFile.mapping`, in any order."""
    columns = list(zip(*sorted(rows), strict=True)) or [()] * 4
    return pd.DataFrame(
        {
            "symbol": pd.Series(columns[0], dtype=object),
            "start_date": np.array(columns[1], dtype="datetime64[D]").astype("datetime64[ns]"),
            "end_date": np.array(columns[2], dtype="datetime64[D]").astype("datetime64[ns]"),
            "instrument_id": np.array(columns[3], dtype=np.int64),
        }
    )[list(MAPPING_COLUMNS)]


def symbology_mapping(content: Content) -> pd.DataFrame:
    """The mapping that the symbology.json beside a file states, as `BarFile.mapping`; no rows if there is none.

    It names symbols by number or numbers by symbol, as requested. Raises CorruptFileError.
    """
    if content.symbology is None:
        return mapping_frame([])
    place = content.symbology
    try:
        stated = json.loads(content_of(DeliveredFile(place, place.name)).data)
        by_number = stated.get("stype_in") == "instrument_id"
        rows = []
        for name, intervals in stated["result"].items():
            for interval in intervals:
                if not interval["s"]:
                    continue
                symbol, number = (interval["s"], name) if by_number else (name, interval["s"])
                first, end = (dt.date.fromisoformat(interval[key]) for key in ("d0", "d1"))
                if not (str(number).isdecimal() and int(number) < 2**32 and EARLIEST <= first < end <= LATEST):
                    raise ValueError(f"{symbol} is {number} from {first} to {end}")
                rows.append((str(symbol), first, end, int(number)))
        return mapping_frame(rows)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptFileError(Path(place), f"it is no readable symbology ({error!r})", AGAIN) from error
