"""From what the exchange published to what holds of a trade date: settlement, open interest, cleared volume.

The exchange says several things of one trade date: a preliminary settlement in the afternoon, a final one in the
evening, open interest in the next night. The last counts, but for what comes too late: records that name an earlier
trade date than one that was spoken of before carry another day's values (CLK0 of 2020-04-17 settled at 18.27, and was
restated three days later with the -37.63 of the 20th).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cbi_dagster.catalog.columns.settlements import (
    INPUTS,
    LATER_TRADE_DATES,
    PUBLICATION_TRADE_DATES,
    SESSION_COLUMNS,
    SESSION_INPUTS,
    SETTLEMENTS,
)
from cbi_dagster.catalog.frames import require
from cbi_dagster.config.universe import Universe
from cbi_dagster.market.sessions import trade_date_ordinals

FINAL, INTRADAY, NONE, NOT_APPLICABLE = 0x01, 0x08, 0x80, 255
"""The exchange's flags of a settlement."""

LATE = "late_record"
OUTSIDE_TICKS = 5
"""How many ticks a settlement may lie outside its session's range before it is looked at."""

_OF_CONTRACT = ["symbol", "stat_type"]
_TYPES = ("settlement_price", "open_interest", "cleared_volume")
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Settlements:
    """One row per contract and trade date (SETTLEMENTS), sorted by both, and the records that came too late.

    `late` has the columns of the records and `reason`; `date` is the trade date that the record is about, or on which
    it was received where that is long after.
    """

    rows: pd.DataFrame
    late: pd.DataFrame


def settlements(statistics: pd.DataFrame) -> Settlements:
    """What holds of each contract and trade date that records speak of.

    A record counts if it was received within PUBLICATION_TRADE_DATES and no record of the contract and kind had spoken
    of a later trade date before. Of those that count the last one holds, a deletion as nothing. Intraday settlements
    are none. A trade date is complete once every kind was spoken of for a later one, or any contract of the root was
    on one of the trade dates from PUBLICATION_TRADE_DATES to LATER_TRADE_DATES after it.

    Rows of a trade date depend on records received on it and on the LATER_TRADE_DATES after it. Raises
    InvalidFrameError for records that lack a column of INPUTS.
    """
    require(statistics, INPUTS, "statistics")
    if statistics.empty:
        return Settlements(pd.DataFrame(columns=list(SETTLEMENTS)), statistics.assign(reason=""))
    records = statistics.astype({"symbol": object, "root": object, "stat_type": object, "update_action": object})
    records = records.sort_values([*_OF_CONTRACT, "ts_recv", "ref_date"], kind="stable", ignore_index=True)
    reference, received = (
        trade_date_ordinals(records[name].to_numpy("datetime64[D]")) for name in ("ref_date", "date")
    )
    too_old = received - reference >= PUBLICATION_TRADE_DATES
    late = too_old | _overtaken(records)
    about = records["date"].where(too_old, records["ref_date"])
    rejected = records[late].assign(date=about[late], reason=LATE).reset_index(drop=True)
    flags = records["stat_flags"].fillna(NOT_APPLICABLE).to_numpy(np.int64)
    flagged = (records["stat_type"] == "settlement_price").to_numpy() & (flags != NOT_APPLICABLE)
    counts = ~late & ~(flagged & ((flags & INTRADAY) > 0))
    counted = records.assign(flags=np.where(flagged, flags, 0), flagged=flagged)[counts]
    return Settlements(_rows(counted, _complete(records, reference, received)), rejected)


def in_time(records: pd.DataFrame) -> pd.DataFrame:
    """Records that spoke of no earlier trade date than their contract and kind had been spoken of before.

    In the order of contract, kind and time of receipt.
    """
    ordered = records.sort_values([*_OF_CONTRACT, "ts_recv", "ref_date"], kind="stable", ignore_index=True)
    return ordered[~_overtaken(ordered)].reset_index(drop=True)


def _overtaken(ordered: pd.DataFrame) -> np.ndarray:
    newest = ordered.groupby(_OF_CONTRACT, sort=False)["ref_date"].cummax()
    overtaken: np.ndarray = (ordered["ref_date"] < newest).to_numpy()
    return overtaken


def _rows(counted: pd.DataFrame, complete: pd.DataFrame) -> pd.DataFrame:
    key = ["symbol", "ref_date"]
    first = counted.sort_values("ts_recv", kind="stable").drop_duplicates(key)
    rows = first[[*key, "root", "instrument_id", "dataset"]]
    last = counted.drop_duplicates([*key, "stat_type"], keep="last")
    stated = (last["update_action"] == "new").to_numpy()
    none = (last["flags"] & NONE) > 0
    last = last.assign(
        price=last["price"].where(stated & ~none & (last["price"] != 0)), quantity=last["quantity"].where(stated)
    )
    settled, opened, cleared = (last[last["stat_type"] == kind] for kind in _TYPES)
    known = settled["price"].notna().to_numpy()
    final = ((settled["flags"] & FINAL) > 0).astype("boolean").where(known & settled["flagged"])
    parts = (
        settled[key].assign(
            settle=settled["price"], settle_is_final=final, settle_published_at=settled["ts_recv"].where(known)
        ),
        opened[key].assign(
            open_interest=opened["quantity"],
            open_interest_published_at=opened["ts_recv"].where(opened["quantity"].notna()),
        ),
        cleared[key].assign(cleared_volume=cleared["quantity"]),
        complete,
    )
    for part in parts:
        rows = rows.merge(part, on=key, how="left", validate="one_to_one")
    rows = rows.rename(columns={"ref_date": "date"}).sort_values(["symbol", "date"], ignore_index=True)
    return rows[list(SETTLEMENTS)]


def _complete(records: pd.DataFrame, reference: np.ndarray, received: np.ndarray) -> pd.DataFrame:
    """Whether each contract's trade date (`symbol`, `ref_date`) is `settlement_complete`."""
    spoken = records[["symbol", "root", "ref_date"]].assign(reference=reference)
    pairs = spoken.drop_duplicates(["symbol", "ref_date"]).reset_index(drop=True)
    days = pairs["reference"].to_numpy()
    over = np.ones(len(pairs), bool)
    symbols = pd.factorize(np.append(pairs["symbol"], records["symbol"]))[0]
    of_pair, of_record = symbols[: len(pairs)], symbols[len(pairs) :]
    for kind in _TYPES:
        own = (records["stat_type"] == kind).to_numpy()
        over &= _spoken_later(of_pair, days, of_record[own], reference[own], received[own])
    roots = pd.factorize(np.append(pairs["root"], records["root"]))[0]
    past = _received_between(roots[: len(pairs)], days, roots[len(pairs) :], received)
    return pairs[["symbol", "ref_date"]].assign(settlement_complete=over | past)


def _spoken_later(
    of_pair: np.ndarray, days: np.ndarray, of_record: np.ndarray, reference: np.ndarray, received: np.ndarray
) -> np.ndarray:
    """For which pairs of a contract and a day a later day was spoken of soon enough."""
    spoken = pd.DataFrame({"of": of_record, "day": reference, "received": received})
    first = spoken.groupby(["of", "day"], as_index=False)["received"].min()
    soonest = first[::-1].groupby("of")["received"].cummin()[::-1].to_numpy(np.int64)
    contracts, at_days = (first[name].to_numpy(np.int64) for name in ("of", "day"))
    at = np.searchsorted((contracts << 32) + at_days, (of_pair.astype(np.int64) << 32) + days, side="right")
    there: np.ndarray = at < len(first)
    there[there] = contracts[at[there]] == of_pair[there]
    there[there] = soonest[at[there]] <= days[there] + LATER_TRADE_DATES
    return there


def _received_between(of_pair: np.ndarray, days: np.ndarray, of_record: np.ndarray, received: np.ndarray) -> np.ndarray:
    """For which pairs of a root and a day something of the root was received when the day's publication was over."""
    keys = np.unique((of_record.astype(np.int64) << 32) + received)
    wanted = (of_pair.astype(np.int64) << 32) + days
    first = np.searchsorted(keys, wanted + PUBLICATION_TRADE_DATES, side="left")
    past: np.ndarray = np.searchsorted(keys, wanted + LATER_TRADE_DATES, side="right") > first
    return past


def quarantine_rows(late: pd.DataFrame) -> pd.DataFrame:
    """Records that came too late as rows for `ops.quarantine`."""
    said = late[["stat_type", "ref_date", "price", "quantity", "stat_flags"]].astype(object)
    words = [[f"{name}={value}" for name, value in row.items() if not pd.isna(value)] for _, row in said.iterrows()]
    return pd.DataFrame(
        {
            "date": late["date"],
            "file_hash": "",
            "source_file": late["source_file"].astype(object),
            "source_row": late["source_row"],
            "symbol": late["symbol"].astype(object),
            "ts_event": late["ts_recv"],
            "reason": late["reason"].astype(object),
            "detail": [", ".join(parts) for parts in words],
        }
    )


def with_settlements(sessions: pd.DataFrame, stated: pd.DataFrame) -> pd.DataFrame:
    """Session bars with the SESSION_COLUMNS of their contract and trade date; NULL where nothing was published.

    A session whose contract has a name is joined by it, any other by the vendor's number, which stands for a contract
    on one day only. `stated` are rows of `settlements_1d` with SESSION_INPUTS.
    """
    require(stated, SESSION_INPUTS, "settlements")
    kinds = dict(zip(SESSION_COLUMNS, ("float64", "boolean", "Int64", "boolean"), strict=True))
    if sessions.empty or stated.empty:
        return sessions.reindex(columns=[*sessions.columns, *SESSION_COLUMNS]).astype(kinds)
    stated = stated.astype({"symbol": object, "root": object})
    numbered = stated.drop_duplicates(["root", "instrument_id", "date"], keep=False)
    by_name = sessions[["contract", "date"]].merge(
        stated.drop(columns=["root", "instrument_id"]).rename(columns={"symbol": "contract"}),
        on=["contract", "date"], how="left", validate="many_to_one",
    )  # fmt: skip
    by_number = sessions[["root", "instrument_id", "date"]].merge(
        numbered.drop(columns="symbol"), on=["root", "instrument_id", "date"], how="left", validate="many_to_one"
    )
    named = sessions["contract"].notna().to_numpy()
    found = {name: by_name[name].where(named, by_number[name]).to_numpy() for name in SESSION_COLUMNS}
    return sessions.assign(**found).astype(kinds)


def far_settlements(sessions: pd.DataFrame, universe: Universe) -> np.ndarray:
    """Which session bars have a settlement more than OUTSIDE_TICKS beyond their high or low; no settlement has none."""
    ticks = {product.root: product.tick_size for product in universe.products}
    room = OUTSIDE_TICKS * sessions["root"].astype(object).map(ticks).to_numpy(float) * (1 + _ROUNDING)
    settle, high, low = (sessions[name].to_numpy(np.float64) for name in ("settle", "high", "low"))
    far: np.ndarray = (settle > high + room) | (settle < low - room)
    return far
