"""Deliveries that end at any instant, and what must stay of the tables made of them."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pandas as pd

from cbi_dagster.catalog import ASSET_TABLES, LANDING_SOURCES, Table
from cbi_dagster.config.universe import load_universe
from cbi_dagster.prove import compared
from cbi_dagster.vendors.databento.dbn import decode_dbn, read_dbn
from cbi_dagster.vendors.databento.landed_bars import Bars
from cbi_dagster.vendors.databento.writing import write_dbn, write_records
from cbi_dagster.vendors.files import DeliveredFile, content_of
from cbi_dagster.vendors.posts.simulated import simulate_posts
from cbi_dagster_tests.properties.worlds import SEED, World

#: Tables that are made of others, or of bars: of these, those of complete sessions stay.
KEPT = [
    table
    for table in ASSET_TABLES
    if not {read.source for read in table.reads} & LANDING_SOURCES.keys()
    or "session_covered" in {column.name for column in table.columns}
]


def cut_file(source: Path, directory: Path, instant: pd.Timestamp) -> Path:
    """What the vendor would have delivered of a file at an instant: the last bar is of the trades until then."""
    if ".statistics." in source.name or ".definition." in source.name:
        return _cut_records(source, directory / source.name, instant)
    file = decode_dbn(content_of(DeliveredFile(source, source.name)))
    bars = Bars(load_universe()).until(instant, file.bars, file.schema)
    return write_dbn(
        directory / source.name, dataset=file.dataset, schema=file.schema, stype_in=file.stype_in, start=file.start,
        end=min(file.end, instant), mappings=file.mapping, bars=bars, symbols=list(file.symbols),
    )  # fmt: skip


def _cut_records(source: Path, target: Path, instant: pd.Timestamp) -> Path:
    """The records of a file that had been received at an instant."""
    schema = source.name.split(".")[1]
    file = read_dbn(content_of(DeliveredFile(source, source.name)), {schema: 1}, "ts_recv")
    end = min(file.end, instant)
    mapping = file.mapping.assign(end_date=file.mapping["end_date"].clip(upper=end.tz_convert(None).ceil("D")))
    return write_records(
        target, file.records[file.stamps < end.value], dataset=file.dataset, schema=schema, stype_in=file.stype_in,
        start=file.start, end=end, mappings=mapping, symbols=[f"{root}.FUT" for root in load_universe().roots],
    )  # fmt: skip


def posts_until(directory: Path, start: dt.date, instant: pd.Timestamp) -> list[Path]:
    """The simulated posts that were there at an instant, and what was covered of them."""
    posts, coverage = simulate_posts(directory, seed=SEED, start=start, end=instant.date() + dt.timedelta(days=1))
    now = f"{instant:%Y-%m-%dT%H:%M:%S}Z"
    lines = posts.read_text(encoding="utf-8").splitlines(keepends=True)
    at = [max(post.get("published_at", ""), post.get("found_at", "")) for post in map(json.loads, lines)]
    posts.write_text("".join(line for line, moment in zip(lines, at, strict=True) if moment < now), encoding="utf-8")
    spans = pd.read_csv(coverage)
    spans["span_end"] = spans["span_end"].clip(upper=now)
    spans[spans["span_start"] < spans["span_end"]].to_csv(coverage, index=False)
    return [posts, coverage]


def require_kept(then: World, whole: World, table: Table) -> None:
    """Every row that is there of a complete session is there, bit for bit, when all the rest has come."""
    names = [column.name for column in table.content_columns]
    before, after = (world.warehouse.read(table, columns=names) for world in (then, whole))
    if "session_covered" in names:
        before = before.filter(before["session_covered"])
    missing, changed, columns = compared(table, before, after)
    assert not missing.any(), f"{table.id}: rows vanished"
    assert not changed.any(), f"{table.id}: {changed.sum()} rows changed in {', '.join(columns)}"
