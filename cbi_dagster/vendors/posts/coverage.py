"""Files that say of which times the posts of a source are known: coverage is a fact of its own.

That nothing was landed for a day does not say that nothing was said. A file is named `<anything>.posts-coverage.csv`
(also `.zst`, `.gz`) and has one row per span, with the columns:

* `source`: as in files of posts.
* `span_start`, `span_end`: the span (ISO 8601 with a zone; from, exclusive, to, inclusive). It lies in the past.
* `content`: `text` where it is known what was said, `rate` where it is only known when.
* `daily_from`, `daily_to`, `timezone`, optional: the hours of every day that are known (`HH:MM`, the IANA name of their
  zone), e.g. of a collector that ran in market hours. Without them all hours are.

What no row of any file covers is not known. Spans add up: to take one back, withdraw its file.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cbi_dagster.catalog.columns.policy import COVERAGE
from cbi_dagster.catalog.model import FIRST_TRADE_DATE
from cbi_dagster.config.clock import clock_minutes
from cbi_dagster.config.universe import Universe
from cbi_dagster.market.decision import decision_instants, trade_date_available
from cbi_dagster.market.sessions import utc_instants
from cbi_dagster.vendors.files import Content
from cbi_dagster.vendors.tabular import TabularFile

REASONS = ("null_source", "null_span", "empty_span", "ends_in_future")
"""Why a row is rejected, in the order in which the reasons are looked for."""

_CONTENTS = ("text", "rate")
_HOURS = ("daily_from", "daily_to", "timezone")


def decode_coverage(content: Content) -> pd.DataFrame:
    """The rows of a file, in its order: `post_source`, `span_start`, `span_end`, `covers_text`, the daily hours as text
    (NULL together) and `source_row`.

    Raises a DeliveryError whose class says what is wrong.
    """
    file = TabularFile(content, ["source", "span_start", "span_end", "content"], list(_HOURS))
    for name in ("span_start", "span_end"):
        file.refuse(name, file.without_zone(name) | file.bare_dates(name), "names no time and zone")
    contents = file.texts("content").str.strip().str.lower()
    file.refuse("content", ~contents.isin(_CONTENTS), f"is none of {', '.join(_CONTENTS)}")
    hours = pd.DataFrame({name: file.texts(name) for name in _HOURS})
    file.refuse("daily_to", hours.isna().any(axis=1) & hours.notna().any(axis=1), "needs daily_from and timezone too")
    for name in ("daily_from", "daily_to"):
        file.refuse(name, hours[name].notna() & ~hours[name].map(_is_clock, na_action="ignore").eq(True), "is no HH:MM")
    file.refuse("daily_to", hours["daily_to"] <= hours["daily_from"], "is not after daily_from")
    zones = hours["timezone"].map(_is_zone, na_action="ignore")
    file.refuse("timezone", hours["timezone"].notna() & ~zones.eq(True), "is no name of a time zone")
    return pd.DataFrame(
        {
            "post_source": file.texts("source").str.strip().str.lower(),
            "span_start": file.instants("span_start").dt.ceil("us"),
            "span_end": file.instants("span_end").dt.floor("us"),
            "covers_text": contents == "text",
            **hours,
            "source_row": np.arange(len(file), dtype=np.int64),
        }
    )


def _is_clock(text: str) -> bool:
    try:
        clock_minutes(text)
    except ValueError:
        return False
    return len(text) == len("HH:MM")


def _is_zone(name: str) -> bool:
    try:
        pd.Timestamp("2024-07-01").tz_localize(name)
    except (ValueError, KeyError, OSError, TypeError):  # what the names of no zone raise depends on the name
        return False
    return True


def screen_coverage(rows: pd.DataFrame, landed_at: pd.Timestamp) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows that are taken, and those that are not, with their `reason`; both in the file's order."""
    faults = [
        rows["post_source"].isna(),
        rows["span_start"].isna() | rows["span_end"].isna(),
        rows["span_start"] >= rows["span_end"],
        rows["span_end"] > landed_at,
    ]
    reason = np.select(faults, np.array(REASONS, dtype=object).tolist(), default="")
    bad = reason != ""
    rejected = rows[bad].assign(reason=reason[bad].astype(object)).reset_index(drop=True)
    return rows[~bad].reset_index(drop=True), rejected


def covered_spans(stated: pd.DataFrame, universe: Universe) -> pd.DataFrame:
    """The spans that rows of files cover together (COVERAGE): daily hours apart, overlaps joined, cut at decisions."""
    parts = [
        _cut(_joined(_of_hours(rows)), universe).assign(post_source=str(source), covers_text=bool(text))
        for (source, text), rows in stated.groupby(["post_source", "covers_text"])
    ]
    return pd.concat(parts, ignore_index=True)[list(COVERAGE)] if parts else pd.DataFrame(columns=list(COVERAGE))


def quarantine_rows(rejected: pd.DataFrame, universe: Universe, landed_at: pd.Timestamp) -> pd.DataFrame:
    """Rejected rows as rows for `ops.quarantine`: `symbol` is the source, `ts_event` where the span begins."""
    start = rejected["span_start"].where(rejected["span_start"] <= landed_at, landed_at)
    return pd.DataFrame(
        {
            "date": trade_date_available(start, universe),
            "source_row": rejected["source_row"],
            "symbol": rejected["post_source"].fillna("(no source)").astype(object),
            "ts_event": start,
            "reason": rejected["reason"],
            "detail": rejected["span_start"].astype(str) + " … " + rejected["span_end"].astype(str),
        }
    )


def _of_hours(rows: pd.DataFrame) -> pd.DataFrame:
    """`start` and `end` (UTC datetime64[ns]) of the known times of each row, those of every day where it has hours."""
    parts = []
    for start, end, *hours in rows[["span_start", "span_end", *_HOURS]].itertuples(index=False, name=None):
        starts, ends = pd.DatetimeIndex([start]), pd.DatetimeIndex([end])
        if isinstance(hours[0], str):
            starts, ends = _daily(start, end, *hours)
        parts.append(pd.DataFrame({"start": starts, "end": ends}))
    spans = pd.concat(parts, ignore_index=True)
    spans = spans[spans["start"] < spans["end"]]
    return pd.DataFrame({name: utc_instants(spans[name].astype("datetime64[ns, UTC]")) for name in ("start", "end")})


def _daily(
    start: pd.Timestamp, end: pd.Timestamp, daily_from: str, daily_to: str, zone: str
) -> tuple[pd.DatetimeIndex, pd.DatetimeIndex]:
    """The same hours of every day, as far as they lie from `start` to `end`."""
    days = pd.date_range(start.tz_convert(zone).date(), end.tz_convert(zone).date())
    starts, ends = (
        (days + pd.Timedelta(minutes=clock_minutes(clock)))
        .tz_localize(zone, nonexistent="shift_forward", ambiguous=False)
        .tz_convert("UTC")
        for clock in (daily_from, daily_to)
    )
    return starts.where(starts > start, start), ends.where(ends < end, end)


def _joined(spans: pd.DataFrame) -> pd.DataFrame:
    """The same times in ascending order, those that touch as one."""
    spans = spans.sort_values("start", ignore_index=True)
    ends = spans["end"].cummax()
    group = (spans["start"] > ends.shift()).cumsum()
    return pd.DataFrame({"start": spans["start"].groupby(group).min(), "end": ends.groupby(group).max()})


def _cut(spans: pd.DataFrame, universe: Universe) -> pd.DataFrame:
    """The spans cut at every decision time, each part with the trade date whose decision time follows."""
    if spans.empty:
        return pd.DataFrame(columns=["trade_date_available", "covered_from", "covered_to"])
    last = spans["end"].max().to_datetime64().astype("datetime64[D]") + 7  # there is a trade date after the end
    every = decision_instants(np.arange(np.datetime64(FIRST_TRADE_DATE, "D") - 7, last), universe)
    days = np.unique(trade_date_available(pd.Series(pd.DatetimeIndex(every, tz="UTC")), universe))
    closes = decision_instants(days.astype("datetime64[D]"), universe)
    opens = np.append(closes[:1], closes[:-1])
    starts, ends = spans["start"].to_numpy(), spans["end"].to_numpy()
    from_day, to_day = np.searchsorted(closes, starts, side="right"), np.searchsorted(closes, ends)
    counts = to_day - from_day + 1
    span = np.repeat(np.arange(len(spans)), counts)
    day = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(from_day, counts)
    parts = pd.DataFrame(
        {
            "trade_date_available": days[day],
            "covered_from": pd.DatetimeIndex(np.maximum(starts[span], opens[day]), tz="UTC"),
            "covered_to": pd.DatetimeIndex(np.minimum(ends[span], closes[day]), tz="UTC"),
        }
    )
    kept = (parts["covered_from"] < parts["covered_to"]) & (parts["trade_date_available"] >= str(FIRST_TRADE_DATE))
    return parts[kept]
