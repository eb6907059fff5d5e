"""Proof, on a warehouse as it is, that no row knows what came later, and that none depends on how it was built.

Deliveries are cut at an instant, be it in the middle of a session, and the last dates of every table are made again of
what is left: a row that is there then must be the stored one, bit for bit. And single partitions, and a few together,
are made again from the windows that their tables declare. All of it happens over the warehouse, which is only read.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cbi_dagster.catalog import ASSET_TABLES, LANDING_SOURCES, Table
from cbi_dagster.catalog.columns.settlements import REVISED
from cbi_dagster.catalog.model import AUDIT_COLUMNS
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D
from cbi_dagster.catalog.tables.ops import LANDED_FILES, PARTITION_LEDGER, PROOFS
from cbi_dagster.home import Platform
from cbi_dagster.market.sessions import chicago_instants
from cbi_dagster.vendors.landed import Holdings
from cbi_dagster.warehouse.builder import Builder
from cbi_dagster.warehouse.contract import LandingFacts, Warehouse, now_utc
from cbi_dagster.warehouse.ledger import NOTHING, Ledger
from cbi_dagster.warehouse.slices import leaf_values

Progress = Callable[[str, int, int], None]

#: Trade dates before a cut of which rows are made again; labels look further ahead than that, and are made from there.
TAIL_TRADE_DATES = 10
#: Neighbouring partitions that are made again together.
_TOGETHER = 5
#: Minutes of the day in Chicago at which deliveries are cut, from the newest backwards: grains have closed and others
#: trade; before the grains' day; grains have closed in a bar that has not ended; all have closed and the next session
#: is open; in the middle of the day.
_CUT_MINUTES = (14 * 60 + 20, 7 * 60, 13 * 60 + 25, 18 * 60 + 30, 10 * 60 + 5)
_COLUMNS_NAMED = 6


class NothingToProveError(RuntimeError):
    """There are no sessions yet."""


class MovedError(RuntimeError):
    """The warehouse changed while it was proved: what was compared is not of one moment."""


class UnprovableError(RuntimeError):
    """A table could not be made of what was there at an instant."""


@dataclass(frozen=True)
class TableProof:
    """What was found of a table: `findings` are none if it stands.

    `cuts`: instants at which it was made of cut deliveries. `rows`, `rows_differing`: rows compared, and those that
    the stored table does not have so, or gained. `alone`, `alone_differing`: partitions made from declared windows.
    """

    table: Table
    cuts: int = 0
    rows: int = 0
    rows_differing: int = 0
    alone: int = 0
    alone_differing: int = 0
    findings: tuple[str, ...] = ()

    def __add__(self, other: TableProof) -> TableProof:
        counts = ("cuts", "rows", "rows_differing", "alone", "alone_differing")
        both = {name: getattr(self, name) + getattr(other, name) for name in counts}
        return TableProof(self.table, **both, findings=self.findings + other.findings)


def cut_instants(warehouse: Warehouse, count: int) -> list[pd.Timestamp]:
    """`count` instants (UTC) spread over the trade dates with sessions, the newest included, at several times of day.

    Raises NothingToProveError.
    """
    known = warehouse.ledger_by_table({FUTURES_CONTINUOUS_1D.id}).get(FUTURES_CONTINUOUS_1D.id, NOTHING)
    dates = known.keys[known.row_counts > 0]
    if not len(dates):
        raise NothingToProveError("there are no sessions to prove anything of; `cbi refresh` builds them")
    # The first dates have no past; of the newest on, each is as far from the next.
    at = np.unique(np.linspace(len(dates) - 1, len(dates) // (2 * count + 1), count).round().astype(int))[::-1]
    minutes = np.resize(_CUT_MINUTES, len(at))
    return sorted(pd.DatetimeIndex(chicago_instants(dates[at], minutes), tz="UTC"))


def prove(
    platform: Platform, tables: Sequence[Table], instants: Sequence[pd.Timestamp], progress: Progress
) -> list[TableProof]:
    """Prove `tables`, none of which nor of whose inputs may be stale, with deliveries cut at `instants` (UTC).

    Raises MovedError when something was landed or built meanwhile, UnprovableError where a table cannot be made.
    """
    builder, holdings = platform.builder, platform.landing.holdings()
    behind, ledgers = with_inputs(tables), builder.warehouse.ledger_by_table()
    proofs = {table.id: TableProof(table) for table in tables}
    total, done = len(instants) * len(behind) + len(tables), itertools.count(1)
    for instant in instants:
        then = cut(builder, holdings, instant)
        for table in behind:
            progress(f"{instant:%Y-%m-%d %H:%M}Z: {table.id}", next(done), total)
            try:
                # One table at a time: others may work on the warehouse in between.
                with then.store.shared_connection():
                    rebuild_tail(then, ledgers.get(table.id, NOTHING), table, instant)
                    if table.id in proofs and not is_landed(table):
                        proofs[table.id] += compared_with_stored(then.store, builder.warehouse, table, instant)
            except Exception as error:
                raise UnprovableError(f"{table.id} cannot be made as of {instant}: {error}") from error
    alone = replace(builder, store=builder.warehouse.overlay())
    # What differs stays in the overlay: nobody who reads it may come after it.
    for table in reversed(tables):
        progress(f"from its windows: {table.id}", next(done), total)
        with alone.store.shared_connection():
            for asked in _asked_alone(ledgers.get(table.id, NOTHING), instants):
                proofs[table.id] += recomputed(alone, table, asked)
    if _contents(builder.warehouse.ledger_by_table()) != _contents(ledgers):
        raise MovedError("something was landed or built while the tables were proved; prove them again")
    return list(proofs.values())


def record(builder: Builder, proofs: Sequence[TableProof]) -> None:
    """Keep what was found in `ops.proofs`."""
    digests, moment = builder.code.digests(builder.warehouse), now_utc()
    rows = [
        {
            "table_name": proof.table.id,
            "proved_at": moment,
            "code_version": digests[proof.table.id],
            "cut_instants": proof.cuts,
            "rows_compared": proof.rows,
            "rows_differing": proof.rows_differing,
            "partitions_recomputed": proof.alone,
            "partitions_differing": proof.alone_differing,
            "proof_finding": "\n".join(proof.findings) or None,
        }
        for proof in proofs
    ]
    builder.warehouse.record(PROOFS, pd.DataFrame(rows, columns=[column.name for column in PROOFS.columns]))


# -- deliveries that end at an instant --------------------------------------------------------------------------------


def is_landed(table: Table) -> bool:
    """Whether a table is what was landed, which a cut changes by itself."""
    return bool(table.reads) and all(read.source in LANDING_SOURCES for read in table.reads)


def cut(builder: Builder, holdings: Holdings, instant: pd.Timestamp) -> Builder:
    """A builder over the warehouse whose landed files hold what was there before `instant`; tables are as stored."""
    over = builder.warehouse.overlay()
    held = holdings.until(instant)
    known = over.ledger_by_table(LANDING_SOURCES)
    gone = {}
    for source, ledger in known.items():
        later = np.setdiff1d(ledger.keys, held.trade_dates(source))
        if len(later):
            gone[source] = tuple(later.astype(str))
    files = over.read(LANDED_FILES, columns=["file_hash"]).num_rows
    over.take(LandingFacts(files, {}, PARTITION_LEDGER.arrow_schema().empty_table(), gone))
    return replace(builder, store=over, read_landed=held.read, stale_landed=dict)


def tail(table: Table, instant: pd.Timestamp) -> np.datetime64:
    """The first date that is made again of a table for a cut."""
    ahead = max((read.forward for read in table.reads), default=0)
    day = np.datetime64(instant.tz_convert(None), "D")
    first: np.datetime64 = np.busday_offset(day, -(TAIL_TRADE_DATES + ahead), roll="backward")
    return table.partitioning.span(table.partitioning.keys_of(np.array([first]))[0])[0]


def rebuild_tail(then: Builder, stored: Ledger, table: Table, instant: pd.Timestamp) -> None:
    """Make the last dates of a table of what was there, where `then` keeps it; what is of later dates goes."""
    asked = stored.keys[stored.keys >= table.partitioning.keys_of(np.array([tail(table, instant)]))[0]]
    if len(asked):
        then.build(table, asked, "prove", only_stale=False)


def compared_with_stored(then: Warehouse, stored: Warehouse, table: Table, instant: pd.Timestamp) -> TableProof:
    """The last dates that were made of what was there at an instant against those that are stored."""
    first, last = tail(table, instant), np.datetime64(instant.tz_convert(None), "D")
    spans = [(first, table.partitioning.span(table.partitioning.keys_of(np.array([last]))[0])[1])]
    names = [column.name for column in table.content_columns]
    before, after = then.read(table, spans, names), stored.read(table, spans, names)
    missing, changed, columns = compared(table, before, after)
    said = [
        (missing, before, "are not stored"),
        (changed, before, f"differ in {', '.join(columns[:_COLUMNS_NAMED])}" + ", …" * (len(columns) > _COLUMNS_NAMED)),
    ]
    ahead = table.layer == "training" or any(read.forward for read in table.reads)
    if table.partitioning.column and not ahead:  # labels and settlements come later
        # Every session of an earlier UTC date had ended: what was there then is all there is of it.
        past = pc.less(after[table.partitioning.column], pa.scalar(last.item(), pa.date32())).to_numpy()
        said.append((compared(table, after, before)[0] & past, after, "of the past came later"))
    findings = [
        f"cut at {instant:%Y-%m-%d %H:%M}Z: {rows.sum():,} rows {what}, first {_named(table, of, rows)}"
        for rows, of, what in said
        if rows.any()
    ]
    return TableProof(table, 1, len(before), sum(int(rows.sum()) for rows, _, _ in said), findings=tuple(findings))


def compared(table: Table, rows: pa.Table, others: pa.Table) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Which rows have no other of their key, which differ from theirs by a bit of content, and in which columns.

    Both have the content columns of `table`; NULL is a value of its own. What a row says of its settlement counts once
    it says that this is complete.
    """
    keys, other_keys = (
        pc.binary_join_element_wise(*(part[name].cast(pa.string()) for name in table.key), "\0")
        for part in (rows, others)
    )
    at = pc.index_in(keys, value_set=other_keys.combine_chunks())
    there = at.is_valid().to_numpy()
    own, other = rows.filter(pa.array(there)), others.take(at.drop_null())
    different, columns = np.zeros(len(own), bool), []
    complete = np.ones(len(own), bool)
    if "settlement_complete" in own.column_names:
        complete = pc.fill_null(own["settlement_complete"], False).to_numpy()
    for path, _ in table.leaves():
        if path.partition(".")[0] not in AUDIT_COLUMNS:
            mine, theirs = leaf_values(own, path), leaf_values(other, path)
            same = pc.fill_null(pc.equal(mine, theirs), False).to_numpy()
            unlike = ~(same | (mine.is_null().to_numpy() & theirs.is_null().to_numpy()))
            if path in REVISED:
                unlike &= complete
            if unlike.any():
                different |= unlike
                columns.append(path)
    changed = np.zeros(len(rows), bool)
    changed[there] = different
    return ~there, changed, columns


def _named(table: Table, rows: pa.Table, which: np.ndarray) -> str:
    first = int(np.flatnonzero(which)[0])
    return "(" + ", ".join(str(rows[name][first]) for name in table.key) + ")"


# -- declared windows -------------------------------------------------------------------------------------------------


def recomputed(alone: Builder, table: Table, asked: np.ndarray) -> TableProof:
    """Partitions made of their declared windows, without others, against what is stored of them."""
    written = alone.build(table, asked, "prove", only_stale=False).result.written
    what = table.partitioning.range_label(asked[0], asked[-1])
    told = (f"{what} alone: {', '.join(written)} differ from what is stored".strip(),) if written else ()
    return TableProof(table, alone=len(asked), alone_differing=len(written), findings=told)


def _asked_alone(stored: Ledger, instants: Sequence[pd.Timestamp]) -> list[np.ndarray]:
    """The last partition with rows that begins before each instant's date, by itself; a few neighbours together."""
    filled = stored.keys[stored.row_counts > 0]
    days = [np.datetime64(instant.tz_convert(None), "D") for instant in instants]
    asked = [filled[filled < day][-1:] for day in days]
    asked.append(filled[len(filled) // 2 :][:_TOGETHER])
    return [*{tuple(keys): keys for keys in asked if len(keys)}.values()]


def with_inputs(tables: Sequence[Table]) -> list[Table]:
    """The tables and all that they are made of, inputs first."""
    wanted = {table.id for table in tables}
    for table in reversed(ASSET_TABLES):
        if table.id in wanted:
            wanted |= {read.source for read in table.reads}
    return [table for table in ASSET_TABLES if table.id in wanted]


def _contents(ledgers: Mapping[str, Ledger]) -> Mapping[str, bytes]:
    """What tables and landing sources hold, as digests."""
    return {name: ledger.sums[-1].tobytes() for name, ledger in ledgers.items()}
