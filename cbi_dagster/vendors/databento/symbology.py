"""The symbology.json of a batch download: which contract each symbol stood for."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pandas as pd

from cbi_dagster.vendors.databento.bar_files import MAPPING_COLUMNS
from cbi_dagster.vendors.files import AGAIN, Content, CorruptFileError, content_of

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

    It names symbols by number or numbers by symbol, as requested. Raises CorruptFileError, or HashMismatchError where
    it is not the one that the manifest of the delivery promises.
    """
    if content.symbology is None:
        return mapping_frame([])
    try:
        stated = json.loads(content_of(content.symbology).data)
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
        raise CorruptFileError(content.symbology.path, f"it is no readable symbology ({error!r})", AGAIN) from error


def symbols_of(
    instruments: np.ndarray, days: np.ndarray, mapping: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray, pd.Index]:
    """The symbols that each record stands for: record positions (ascending), symbol codes, the symbols.

    `instruments` are the records' contracts, `days` their UTC days since 1970, `mapping` as in `BarFile`.
    A record carries only its contract. Where several symbols stood for it on the record's UTC day, the record belongs
    to each: the intervals are dealt into layers in which no two of one contract overlap, each looked up once.
    """
    codes, symbols = pd.factorize(mapping["symbol"], sort=True)
    contract = mapping["instrument_id"].to_numpy()
    first = mapping["start_date"].to_numpy().astype("datetime64[D]").astype(np.int64)
    end = mapping["end_date"].to_numpy().astype("datetime64[D]").astype(np.int64)
    order = np.lexsort((codes, first, contract))
    layer_ends: dict[int, list[int]] = {}
    layer = np.zeros(len(order), np.int64)
    for at, number, since, until in zip(
        order.tolist(), contract[order].tolist(), first[order].tolist(), end[order].tolist(), strict=True
    ):
        ends = layer_ends.setdefault(number, [])
        free = next((index for index, busy_until in enumerate(ends) if busy_until <= since), len(ends))
        ends[free:] = [until, *ends[free + 1 :]]
        layer[at] = free
    # One sortable number per (contract, day); a day fits 20 bits and a contract 32.
    wanted = (instruments << 20) + days
    found_rows, found_codes = [], []
    for index in range(int(layer.max(initial=-1)) + 1):
        chosen = order[layer[order] == index]
        starts = (contract[chosen] << 20) + first[chosen]
        position = np.searchsorted(starts, wanted, side="right") - 1
        at = chosen[position]
        hit = (position >= 0) & (contract[at] == instruments) & (days < end[at])
        found_rows.append(np.flatnonzero(hit))
        found_codes.append(codes[at[hit]])
    if not found_rows:
        return np.empty(0, np.int64), np.empty(0, np.int64), symbols
    rows, found = np.concatenate(found_rows), np.concatenate(found_codes)
    if len(found_rows) > 1:
        order = np.lexsort((found, rows))
        rows, found = rows[order], found[order]
    return rows, found, symbols
