"""What is stored against what was declared and written, and what a person should look at.

A check looks at one table and says in words what is wrong with it and what is strange. Dagster's asset checks, `cbi
check` and the ends of `cbi refresh` and `cbi backfill` show the same results; a further check is one function and its
entry in CHECKS.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa

from cbi_dagster.catalog import ASSET_TABLES, Table
from cbi_dagster.catalog.columns.conditions import AVAILABLE
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.model import names
from cbi_dagster.catalog.partitioning import BEGINNING, END, Interval
from cbi_dagster.catalog.tables.features import DAILY_ML_MATRIX
from cbi_dagster.catalog.tables.market_data import DATABENTO_CONDITIONS, FUTURES_EOD, OHLCV_1D, SETTLEMENTS_1D
from cbi_dagster.catalog.tables.ops import PROOFS
from cbi_dagster.config.universe import load_universe
from cbi_dagster.market.sessions import newest_due
from cbi_dagster.market.settlements import OUTSIDE_TICKS, far_settlements
from cbi_dagster.reports.leakage import MOST_CORRELATION, columns_read, leaks
from cbi_dagster.reports.quality import matrix_report, null_rates_page
from cbi_dagster.warehouse.contract import Warehouse, now_utc
from cbi_dagster.warehouse.hashing import content_hashes
from cbi_dagster.warehouse.ledger import NOTHING, Ledger
from cbi_dagster.warehouse.slices import ContractError, check_slice

_EXAMPLES = 3
_SPLIT_ROWS = 60
_ROUNDING = 1e-9

#: Rows of a table that are looked at together.
ROWS_AT_ONCE = 250_000


@dataclass(frozen=True)
class CheckResult:
    """What a check found in `partitions` of a table with `rows`.

    `problems` are wrong, `warnings` are strange and may be right: every case of each, by their names, none if it
    passed. `pages`: more, as Markdown, by title.
    """

    table: Table
    partitions: int
    rows: int
    problems: Mapping[str, Sequence[str]]
    warnings: Mapping[str, Sequence[str]] = field(default_factory=dict)
    pages: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return not self.problems and not self.warnings


@dataclass(frozen=True)
class Check:
    """A check of some tables: `function(warehouse, table, span)`, `span` as in `stored_as_written`.

    Where a `blocking` one finds a problem, nothing is built on the table.
    """

    name: str
    description: str
    tables: tuple[Table, ...]
    function: Callable[[Warehouse, Table, Interval | None], CheckResult]
    blocking: bool = False


def stored_as_written(warehouse: Warehouse, table: Table, span: Interval | None = None) -> CheckResult:
    """Whether stored partitions have the declared form and the content that the ledger recorded.

    `span`: the partitions of the trade dates from its first to its last, both inclusive (None: everything stored).
    """
    drift = warehouse.drifted.get(table.id)
    if drift:
        return CheckResult(table, 0, 0, {"drifted": drift})
    ledger = warehouse.ledger_by_table({table.id}).get(table.id, NOTHING)
    partitions = rows = 0
    problems: dict[str, list[str]] = {}
    for interval in in_parts(table, ledger, span):
        with warehouse.snapshot():  # rows and ledger of one moment: a write in between is no fault
            known = warehouse.ledger_by_table({table.id}).get(table.id, NOTHING)
            stored = warehouse.read(table, [interval], [column.name for column in table.columns])
        starts, stops = table.partitioning.spans(known.keys)
        known = known.only((starts <= interval[1]) & (stops >= interval[0]))
        partitions, rows = partitions + len(known.keys), rows + len(stored)
        for problem, words in _problems(table, known, stored):
            problems.setdefault(problem, []).append(words)
    return CheckResult(table, partitions, rows, problems)


def in_parts(table: Table, ledger: Ledger, span: Interval | None) -> Iterator[Interval]:
    """Neighbouring spans of dates that together are `span`, each of partitions of at most about ROWS_AT_ONCE rows."""
    starts, stops = table.partitioning.spans(ledger.keys)
    if span is not None:
        inside = (starts <= span[1]) & (stops >= span[0])
        if not inside.any():
            return
        ledger, starts, stops = ledger.only(inside), starts[inside], stops[inside]
    first, last = (BEGINNING, END) if span is None else (starts[0], stops[-1])
    before = np.append(0, np.cumsum(ledger.row_counts)[:-1]) // ROWS_AT_ONCE
    cuts = starts[1:][before[1:] != before[:-1]] if len(starts) else starts
    yield from zip([first, *cuts], [*(cuts - 1), last], strict=True)


def _problems(table: Table, known: Ledger, stored: pa.Table) -> Iterator[tuple[str, str]]:
    """What is wrong with the stored rows of some dates of which the ledger knows `known`: problem and partition."""
    every = np.union1d(known.keys, table.partitioning.keys_in(stored))
    if len(every):
        every = table.partitioning.keys_between(table.partitioning.span(every[0])[0], every[-1])
    try:
        checked = check_slice(table, every, stored)
    except ContractError as error:
        yield "broken", str(error).removesuffix("; nothing was written")
        return
    hashes = np.array(content_hashes(checked), dtype=object)
    at = known.at(checked.partitions)
    wrong = at >= 0
    wrong[wrong] = known.hashes[at[wrong]] != hashes[wrong]
    for problem, those in (
        ("stored_differs_from_ledger", wrong),
        ("stored_without_ledger", (at < 0) & (checked.row_counts > 0)),
    ):
        for label in table.partitioning.labels(checked.partitions[those]):
            yield problem, label


def quality(warehouse: Warehouse, table: Table, span: Interval | None = None) -> CheckResult:
    """What is impossible or unusual in the rows of the matrix: see `matrix.quality`."""
    report = matrix_report(warehouse, span)
    keys = warehouse.ledger_by_table({table.id}).get(table.id, NOTHING).keys
    inside = keys if span is None else keys[(keys >= span[0]) & (keys <= span[1])]
    return CheckResult(
        table,
        len(inside),
        report.rows,
        {finding.rule: finding.cases for finding in report.blocking},
        {finding.rule: finding.cases for finding in report.warnings},
        {"null_rates": null_rates_page(report)},
    )


def settled_within_range(warehouse: Warehouse, table: Table, span: Interval | None = None) -> CheckResult:
    """Whether settlements lie near what was traded: beyond, one of both belongs to another contract or day."""
    columns = ["date", "root", "symbol", "high", "low", "settle"]
    sessions = to_frame(table, warehouse.read(table, None if span is None else [span], columns))
    settled = sessions[sessions["settle"].notna()]
    far = settled[far_settlements(settled, load_universe())]
    named = [f"{symbol} {day:%Y-%m-%d}" for symbol, day in zip(far["symbol"], far["date"], strict=True)]
    found = {"settlements beyond the range": named} if named else {}
    return CheckResult(table, settled["date"].nunique(), len(settled), {}, found)


def agrees_with_settlements(warehouse: Warehouse, table: Table, span: Interval | None = None) -> CheckResult:
    """Whether another vendor's settlements and open interest are those of the exchange, where both are known."""
    both = to_frame(table, warehouse.read(table, None if span is None else [span]))
    columns = ["date", "symbol", "settle", "open_interest"]
    exchange = to_frame(SETTLEMENTS_1D, warehouse.read(SETTLEMENTS_1D, None, columns))
    names = {"date": "ref_date", "settle": "settle_exchange", "open_interest": "open_interest_exchange"}
    both = both.astype({"symbol": object}).merge(
        exchange.astype({"symbol": object}).rename(columns=names), on=["symbol", "ref_date"]
    )
    found = {}
    for name in ("settle", "open_interest"):
        one, other = (both[column].to_numpy(np.float64, na_value=np.nan) for column in (name, f"{name}_exchange"))
        apart = both[np.abs(one - other) > _ROUNDING * np.abs(other)]
        if len(apart):
            days = zip(apart["symbol"], apart["ref_date"], strict=True)
            found[f"{name} differs"] = [f"{symbol} {day:%Y-%m-%d}" for symbol, day in days]
    return CheckResult(table, both["ref_date"].nunique(), len(both), {}, found)


def split_sizes(warehouse: Warehouse, table: Table, span: Interval | None = None) -> CheckResult:
    """Whether every split of a training table has rows enough to say anything; of the whole table whatever `span`."""
    ledger = warehouse.ledger_by_table({table.id}).get(table.id, NOTHING)
    parts = (warehouse.read(table, [part], ["split"])["split"].to_pandas() for part in in_parts(table, ledger, None))
    sizes = pd.concat([part.value_counts() for part in parts]).groupby(level=0).sum()
    counts = sizes.reindex(["train", "val", "test"], fill_value=0)
    small = [str(split) for split, count in counts.items() if count < _SPLIT_ROWS]
    told = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    found = {"small splits": [f"{', '.join(small)} (rows: {told})"]} if small else {}
    return CheckResult(table, len(ledger.keys), int(sizes.sum()), {}, found)


def vendor_conditions(warehouse: Warehouse, table: Table, span: Interval | None = None) -> CheckResult:
    """The days of which the vendor says that its data is not whole, by its word, as far as the table has partitions."""
    keys = warehouse.ledger_by_table({table.id}).get(table.id, NOTHING).keys
    keys = keys if span is None else keys[(keys >= span[0]) & (keys <= span[1])]
    said = to_frame(DATABENTO_CONDITIONS, warehouse.read(DATABENTO_CONDITIONS, None if span is None else [span]))
    said = said[(said["condition"] != AVAILABLE) & np.isin(said["date"].to_numpy().astype("datetime64[D]"), keys)]
    days = said.sort_values("utc_date").groupby("condition")["utc_date"]
    found = {f"{word} days": [f"{day:%Y-%m-%d}" for day in of_word] for word, of_word in days}
    return CheckResult(table, len(keys), 0, {}, found)


def leakage(warehouse: Warehouse, table: Table, span: Interval | None = None) -> CheckResult:
    """What gives the target of a training table away: see `reports.leakage`; of the whole table whatever `span`."""
    ledger = warehouse.ledger_by_table({table.id}).get(table.id, NOTHING)
    wanted = columns_read(table)
    parts = (to_frame(table, warehouse.read(table, [part], wanted)) for part in in_parts(table, ledger, None))
    return CheckResult(table, len(ledger.keys), int(ledger.row_counts.sum()), leaks(table, parts))


def proof(warehouse: Warehouse, table: Table, span: Interval | None = None) -> CheckResult:
    """What `cbi prove` found last of a table; of the whole table whatever `span`."""
    rows = to_frame(PROOFS, warehouse.read(PROOFS))
    rows = rows[rows["table_name"] == table.id].sort_values("proved_at")
    if rows.empty:
        return CheckResult(table, 0, 0, {}, {"not proved": ["`cbi prove` has not looked at this table yet"]})
    last = rows.iloc[-1]
    problems = {} if pd.isna(last["proof_finding"]) else {"not what it was": last["proof_finding"].splitlines()}
    ledger = warehouse.ledger_by_table({table.id}).get(table.id, NOTHING)
    warnings = {}
    if (ledger.code_versions != last["code_version"]).any():
        warnings = {"proved with other code": [f"{last['proved_at']:%Y-%m-%d %H:%M}Z; `cbi prove` looks again"]}
    return CheckResult(table, int(last["partitions_recomputed"]), int(last["rows_compared"]), problems, warnings)


def data_age(
    warehouse: Warehouse, table: Table, span: Interval | None = None, now: dt.datetime | None = None
) -> CheckResult:
    """Whether the newest session is the one that the exchange's calendars make due by `now`, whatever was rebuilt when.

    Of the whole table whatever `span`.
    """
    known = warehouse.ledger_by_table({table.id}).get(table.id, NOTHING)
    filled = known.keys[known.row_counts > 0]
    moment = np.datetime64((now or now_utc()).replace(tzinfo=None), "s")
    due = newest_due(moment, load_universe())
    behind: dict[str, list[str]] = {}
    if len(filled) and filled[-1] < due:
        days = int(np.busday_count(filled[-1], due))
        behind = {"newest session": [f"{filled[-1]}, {days:,} trade dates before {due}, which is due"]}
    return CheckResult(table, len(known.keys), int(known.row_counts.sum()), {}, behind)


STORED_AS_WRITTEN = Check(
    "stored_as_written",
    "Types, required columns, unique keys, partitions and content hashes of what is stored.",
    ASSET_TABLES,
    stored_as_written,
    blocking=True,
)
#: What is looked at after every write too: what was just written is as it was written.
FINDINGS = (
    Check(
        "quality",
        "Sessions against the exchange calendar, prices against bounds, returns, ranges and rolls against the past, "
        "constant features, NULL rates.",
        (DAILY_ML_MATRIX,),
        quality,
    ),
    Check(
        "settlements",
        f"Settlements lie within {OUTSIDE_TICKS} ticks of the session's range.",
        (OHLCV_1D,),
        settled_within_range,
    ),
    Check(
        "agrees_with_settlements",
        "Settlement and open interest are those that the exchange published, where both are known.",
        (FUTURES_EOD,),
        agrees_with_settlements,
    ),
    Check(
        "split_sizes",
        f"Every split has {_SPLIT_ROWS} rows or more.",
        tuple(table for table in ASSET_TABLES if "split" in names(table.columns)),
        split_sizes,
    ),
    Check(
        "vendor_conditions",
        "The vendor calls no day degraded, missing or pending.",
        (OHLCV_1D,),
        vendor_conditions,
    ),
)
DATA_AGE = Check(
    "data_age",
    "The newest session is the one that the exchange's calendars make due, at noon of the day after.",
    (OHLCV_1D, DAILY_ML_MATRIX),
    data_age,
)
LEAKAGE = Check(
    "leakage",
    f"No feature is correlated with the target beyond {MOST_CORRELATION}, no label reaches into a later split.",
    tuple(table for table in ASSET_TABLES if "split" in names(table.columns)),
    leakage,
    blocking=True,
)
PROOF = Check(
    "proof",
    "Made again from deliveries that are cut at instants, and from declared windows, the table is what is stored: what "
    "`cbi prove` found last.",
    ASSET_TABLES,
    proof,
)
#: What `cbi check` looks at. A proof is made by `cbi prove`.
CHECKS = (STORED_AS_WRITTEN, *FINDINGS, DATA_AGE, LEAKAGE)


def lines(item: Check, result: CheckResult, found: Mapping[str, Sequence[str]], *, every: bool = False) -> list[str]:
    """Problems or warnings of a result, each in a line that names a few cases, or `every` case in a line of its own."""
    told = []
    for name, cases in found.items():
        head = f"{result.table.id}: {item.name}: {name.replace('_', ' ')}: "
        if every and len(cases) > 1:
            told += [f"{head}{len(cases):,} x", *(f"  {case}" for case in cases)]
        else:
            told.append(head + in_short(cases))
    return told


def in_short(cases: Sequence[str]) -> str:
    """How often something was found, with the first cases; one alone says it."""
    named = ", ".join(cases[:_EXAMPLES]) + (", …" if len(cases) > _EXAMPLES else "")
    return named if len(cases) == 1 else f"{len(cases):,} x ({named})"


def check(
    warehouse: Warehouse, tables: Sequence[Table], first: dt.date | None, last: dt.date | None
) -> Iterator[tuple[Check, CheckResult]]:
    """Every check and its result of `tables`, over the trade dates from `first` to `last`.

    Both are inclusive, None is unbounded.
    """
    span = None
    if first is not None or last is not None:
        span = (np.datetime64(first or dt.date.min, "D"), np.datetime64(last or dt.date.max, "D"))
    for item in CHECKS:
        for table in tables:
            if table in item.tables:
                yield item, item.function(warehouse, table, span)
