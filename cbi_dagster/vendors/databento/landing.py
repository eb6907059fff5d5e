"""Landing: verified files become the platform's bars and macro series, by content hash and in landing order.

Files are kept as delivered, under their hash, and decoded on demand. A file is taken once; on the same bar the later
delivery wins and the change is recorded. All facts of a landing, the content hash of every trade date it touches
included, are committed in one transaction: a broken file changes nothing.
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from cbi_dagster.catalog import LANDING_SOURCES, MACRO_SOURCE, Table
from cbi_dagster.catalog.tables import ops
from cbi_dagster.catalog.tables.market_data import OHLCV_1H, OHLCV_1M, OHLCV_UTC_1D
from cbi_dagster.catalog.tables.raw_intelligence import MACRO_SERIES
from cbi_dagster.config.universe import Universe
from cbi_dagster.market.bars import quarantine_rows
from cbi_dagster.market.sessions import session_bounds, trade_dates, utc_instants, weekdays
from cbi_dagster.vendors import macro
from cbi_dagster.vendors.databento.bars import (
    classify_symbols,
    corrections,
    covered,
    merge_bars,
    merge_mappings,
    screen_bars,
    session_instruments,
)
from cbi_dagster.vendors.databento.delivery import (
    DeliveredFile,
    DeliveryError,
    HashMismatchError,
    VerifiedFile,
    is_macro_file,
    open_delivery,
    verify,
)
from cbi_dagster.warehouse.contract import check_slice, now_utc, to_frame
from cbi_dagster.warehouse.duckdb import DuckDBWarehouse, insert
from cbi_dagster.warehouse.hashing import content_hashes

BARS_TABLES: dict[str, Table] = {"ohlcv-1m": OHLCV_1M, "ohlcv-1h": OHLCV_1H, "ohlcv-1d": OHLCV_UTC_1D}

#: What `ops.landed_files` calls a file of macro series, in place of a vendor's dataset and schema.
MACRO_DATASET, MACRO_SCHEMA = "MACRO", "macro"

_SOURCE_OF = {schema: source for source, schema in LANDING_SOURCES.items()}

Interval = tuple[np.datetime64, np.datetime64]
_EVER: Interval = (np.datetime64("0001-01-01", "D"), np.datetime64("9999-12-31", "D"))
Progress = Callable[[str, int, int], None]


class DatasetMismatchError(ValueError):
    """Files of another vendor dataset than the warehouse already holds: simulated and real data never mix."""


class _OvertakenError(Exception):
    """Files were landed by another process since the registry was read."""


@dataclass(frozen=True)
class LandingReport:
    """What a landing did.

    `files`: one row per delivered file (`source_file`, `outcome` in landed / already landed, and the columns of
    `ops.landed_files` for landed ones). `rejected`, `corrections`: rows of `ops.quarantine` and `ops.corrections`.
    `outside`: rows per symbol outside the universe. `ignored`: names of files that hold no data.
    """

    files: pd.DataFrame
    rejected: pd.DataFrame
    corrections: pd.DataFrame
    outside: dict[str, int]
    ignored: tuple[str, ...]


class Landing:
    """The landed files of one warehouse: taking new ones, and reading their merged bars and macro series."""

    def __init__(self, warehouse: DuckDBWarehouse, archive: Path, universe: Universe) -> None:
        self._warehouse = warehouse
        self._archive = archive
        self._universe = universe
        self._decoded: dict[str, pd.DataFrame] = {}

    def land(self, paths: Sequence[Path], progress: Progress = lambda stage, done, total: None) -> LandingReport:
        """Verify deliveries and take their new files: all of them, or none. Later `paths` win over earlier ones.

        `progress(stage, done, total)` is called as files are worked on. Raises DeliveryError for a broken file, an
        ExceptionGroup of them for several, or DatasetMismatchError; no table has changed then.
        """
        started = now_utc()
        with ExitStack() as stack:
            deliveries = [stack.enter_context(open_delivery(path)) for path in paths]
            verified, series = self._verify([delivery.files for delivery in deliveries], progress)
            ignored = tuple(name for delivery in deliveries for name in delivery.ignored)
            while True:
                try:
                    return self._take(verified, series, ignored, started, progress)
                except _OvertakenError:
                    continue  # another process has landed files meanwhile: what is new is asked again

    def read(self, source: str, intervals: Sequence[Interval]) -> pd.DataFrame:
        """Merged landed rows of a landing source, as rows of its table, with trade dates in the inclusive `intervals`.

        Each bar says which contract its session belongs to and whether landed data covers that session.
        """
        if source == MACRO_SOURCE:
            return self._vintages(intervals, self._registry()[0])
        return self._bars(LANDING_SOURCES[source], intervals, *self._registry())

    def _registry(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Landed files in landing order, and their symbology."""
        files = to_frame(ops.LANDED_FILES, self._warehouse.read(ops.LANDED_FILES))
        symbols = to_frame(ops.LANDED_SYMBOLS, self._warehouse.read(ops.LANDED_SYMBOLS))
        return files.sort_values("landing_sequence", ignore_index=True), symbols

    def _verify(
        self, deliveries: Sequence[Sequence[DeliveredFile]], progress: Progress
    ) -> tuple[list[VerifiedFile], list[macro.VerifiedMacroFile]]:
        """The bar files, in order of time within each delivery, and the macro files."""
        delivered = [file for files in deliveries for file in files]
        verified: list[VerifiedFile] = []
        series: list[macro.VerifiedMacroFile] = []
        broken: list[DeliveryError] = []
        done = itertools.count()
        for files in deliveries:
            bars: list[VerifiedFile] = []
            for file in files:
                progress("verifying files", next(done), len(delivered))
                try:
                    if is_macro_file(file.name):
                        series.append(_verify_macro(file))
                    else:
                        bars.append(verify(file))
                except DeliveryError as error:
                    broken.append(error)
            verified += sorted(bars, key=lambda file: (file.schema, file.start, file.name))
        if len(broken) == 1:
            raise broken[0]
        if broken:
            raise ExceptionGroup(f"{len(broken)} of {len(delivered)} files are broken", broken)
        return verified, series

    def _take(
        self,
        verified: list[VerifiedFile],
        series: list[macro.VerifiedMacroFile],
        ignored: tuple[str, ...],
        started: pd.Timestamp,
        progress: Progress,
    ) -> LandingReport:
        files, symbols = self._registry()
        datasets = {*files["dataset"], *(file.dataset for file in verified)} - {MACRO_DATASET}
        if len(datasets) > 1:
            raise DatasetMismatchError(
                f"{self._warehouse.path} would mix the datasets {', '.join(sorted(datasets))}: "
                "land each dataset under a CBI_HOME of its own"
            )
        delivered: list[VerifiedFile | macro.VerifiedMacroFile] = [*verified, *series]
        known = set(files["file_hash"])
        new = _first_of_each(verified, known)
        sequence = len(files)
        rows, mappings, rejected = [], [], []
        outside: dict[str, int] = {}
        for number, file in enumerate(new):
            progress("screening bars", number, len(new))
            screened = screen_bars(file.bars, file.schema, self._universe, (file.start, file.end))
            self._decoded[file.sha256] = screened.bars.assign(source_file=file.name, dataset=file.dataset)
            rows_rejected = screened.rejected.assign(source_file=file.name)
            rejected.append(
                quarantine_rows(rows_rejected).assign(table_name=_SOURCE_OF[file.schema], file_hash=file.sha256)
            )
            mappings.append(self._symbol_rows(file))
            for symbol, count in screened.outside_counts.items():
                outside[str(symbol)] = outside.get(str(symbol), 0) + int(count)
            rows.append(
                {
                    "file_hash": file.sha256,
                    "landing_sequence": sequence + number,
                    "source_file": file.name,
                    "file_bytes": file.size,
                    "dataset": file.dataset,
                    "vendor_schema": file.schema,
                    "stype_in": file.stype_in,
                    "span_start": file.start,
                    "span_end": file.end,
                    "file_rows": len(file.bars),
                    "kept_rows": len(screened.bars),
                    "rejected_rows": len(screened.rejected),
                    "outside_rows": int(screened.outside_counts.sum()),
                    "landed_at": started,
                }
            )
        for refused, row in self._screen_series(_first_of_each(series, known), files, started):
            rows.append({**row, "landing_sequence": sequence + len(rows)})
            rejected.append(refused)
        new_files = _rows_of(ops.LANDED_FILES, [pd.DataFrame(rows)])
        new_symbols = _rows_of(ops.LANDED_SYMBOLS, mappings)
        quarantine = _rows_of(ops.QUARANTINE, rejected)
        corrected = _rows_of(
            ops.CORRECTIONS,
            [
                self._corrections(files, new_files, schema, started)
                for schema in new_files["vendor_schema"].unique()
                if schema in BARS_TABLES
            ],
        )
        names = dict(pd.concat([part[["file_hash", "source_file"]] for part in (files, new_files)]).to_numpy())
        for arrived in delivered:
            self._keep(arrived, names[arrived.sha256])
        if len(new_files):
            progress("hashing trade dates", 0, 1)
            all_files = _rows_of(ops.LANDED_FILES, [files, new_files])
            all_symbols = _rows_of(ops.LANDED_SYMBOLS, [symbols, new_symbols])
            ledger = self._ledger_rows(new_files, all_files, all_symbols, started)
            with self._warehouse.transaction() as connection:
                if connection.sql(f"SELECT count(*) FROM {ops.LANDED_FILES.id}").fetchall() != [(sequence,)]:
                    raise _OvertakenError
                for table, frame in (
                    (ops.LANDED_FILES, new_files),
                    (ops.LANDED_SYMBOLS, new_symbols),
                    (ops.QUARANTINE, quarantine),
                    (ops.CORRECTIONS, corrected),
                    (ops.INGESTION_RUNS, _run_rows(new_files, started)),
                ):
                    insert(connection, table, check_slice(table, None, frame).data)
                self._warehouse.write_ledger(ledger)
            progress("hashing trade dates", 1, 1)
        self._decoded.clear()
        report = pd.DataFrame([(file.name, file.sha256) for file in delivered], columns=["source_file", "file_hash"])
        again = report["file_hash"].isin(known) | report.duplicated("file_hash")
        report["outcome"] = np.where(again, "already landed", "landed")
        taken = new_files.drop(columns="source_file").assign(outcome="landed")
        report = report.merge(taken, on=["file_hash", "outcome"], how="left")
        return LandingReport(report, quarantine, corrected, outside, ignored)

    def _screen_series(
        self, new: list[macro.VerifiedMacroFile], files: pd.DataFrame, landed_at: pd.Timestamp
    ) -> Iterator[tuple[pd.DataFrame, dict[str, Any]]]:
        """Quarantine rows and the row of `ops.landed_files` of each new macro file; a series keeps its unit."""
        stored = self._vintages([_EVER], files)
        for file in new:
            screened = macro.screen_macro(file.rows, self._universe)
            try:
                stored = macro.merge_macro(stored, screened.series[list(macro.SERIES_COLUMNS)])
            except macro.SeriesUnitChangedError as error:
                raise macro.UnitConflictError(file.path, str(error), "Nothing of it was taken") from error
            self._decoded[file.sha256] = screened.series
            public = screened.series["available_at"]
            rejected = macro.quarantine_rows(screened.rejected, self._universe, landed_at)
            yield (
                rejected.assign(table_name=MACRO_SOURCE, file_hash=file.sha256, source_file=file.name),
                {
                    "file_hash": file.sha256,
                    "source_file": file.name,
                    "file_bytes": file.size,
                    "dataset": MACRO_DATASET,
                    "vendor_schema": MACRO_SCHEMA,
                    "stype_in": None,
                    "span_start": public.min() if len(public) else landed_at,
                    "span_end": public.max() + pd.Timedelta(1, "us") if len(public) else landed_at,
                    "file_rows": len(file.rows),
                    "kept_rows": len(screened.series),
                    "rejected_rows": len(screened.rejected),
                    "outside_rows": 0,
                    "landed_at": landed_at,
                },
            )

    def _symbol_rows(self, file: VerifiedFile) -> pd.DataFrame:
        """The file's symbology for the universe; a symbol it could not resolve keeps its span without a contract."""
        kinds = classify_symbols(file.symbols, self._universe)
        wanted = kinds[kinds["kind"].isin(["continuous", "outright"])]
        rows = wanted[["symbol", "root"]].merge(file.mapping, on="symbol", how="left")
        return pd.DataFrame(
            {
                "file_hash": file.sha256,
                "symbol": rows["symbol"],
                "root": rows["root"],
                "mapping_start": rows["start_date"].fillna(file.start.tz_convert(None).normalize()),
                "mapping_end": rows["end_date"].fillna(file.end.tz_convert(None).ceil("D")),
                "instrument_id": rows["instrument_id"].astype("Int64"),
            }
        )

    def _corrections(
        self, files: pd.DataFrame, new_files: pd.DataFrame, schema: str, landed_at: pd.Timestamp
    ) -> pd.DataFrame:
        """Bars on which a new file differs from what was landed before it."""
        landed = files[files["vendor_schema"] == schema]
        found = []
        for row in new_files[new_files["vendor_schema"] == schema].itertuples():
            earlier = landed[(landed["span_start"] < row.span_end) & (landed["span_end"] > row.span_start)]
            if len(earlier):
                before = merge_bars([self._decode(earlier_row) for earlier_row in earlier.itertuples()])
                changed = corrections(before, self._decode(row))
                found.append(changed.assign(file_hash=str(row.file_hash), vendor_schema=schema, landed_at=landed_at))
            landed = pd.concat([landed, new_files.loc[[row.Index]]])
        return _rows_of(ops.CORRECTIONS, found)

    def _ledger_rows(
        self, new_files: pd.DataFrame, files: pd.DataFrame, symbols: pd.DataFrame, moment: pd.Timestamp
    ) -> pd.DataFrame:
        """Content hashes of every trade date that the new files touch, for every schema.

        A schema without bars on a landed date is known to be empty there, which is different from not landed. Macro
        vintages count on the trade dates that bars are landed for; those of other dates wait for their bars.
        """
        bar_files = new_files[new_files["vendor_schema"] != MACRO_SCHEMA]
        dates = _touched_trade_dates(bar_files)
        entries = []
        if len(dates):
            intervals = [(dates[0], dates[-1])]
            for source, schema in LANDING_SOURCES.items():
                bars = self._bars(schema, intervals, files, symbols)
                entries.append(_landed_entries(source, BARS_TABLES[schema], dates, bars, moment))
        vintages = self._vintages([_EVER], files)
        arrived = [self._decode_series(row) for row in new_files.drop(index=bar_files.index).itertuples()]
        arrived_dates = np.concatenate([dates, *(_days(rows["trade_date_available"]) for rows in arrived)])
        landed = self._warehouse.ledger_rows(LANDING_SOURCES)["partition_key"].to_numpy().astype("datetime64[D]")
        known = np.intersect1d(arrived_dates, np.concatenate([dates, landed]))
        entries.append(_landed_entries(MACRO_SOURCE, MACRO_SERIES, known, vintages, moment))
        return pd.concat(entries, ignore_index=True)

    def _vintages(self, intervals: Sequence[Interval], files: pd.DataFrame) -> pd.DataFrame:
        """Rows of `raw_intelligence.macro_series`: the vintages of the files that are known from a date on inside."""
        frames = [self._decode_series(row) for row in files[files["vendor_schema"] == MACRO_SCHEMA].itertuples()]
        columns = list(macro.SERIES_COLUMNS)
        if not frames:
            return to_frame(MACRO_SERIES, MACRO_SERIES.arrow_schema().empty_table())[columns]
        merged = macro.merge_macro(pd.concat(frames[:-1] or frames, ignore_index=True)[columns], frames[-1][columns])
        days = _days(merged["trade_date_available"])
        inside = np.zeros(len(merged), bool)
        for first, last in intervals:
            inside |= (days >= first) & (days <= last)
        return merged[inside].reset_index(drop=True)

    def _decode_series(self, row: Any) -> pd.DataFrame:
        """Screened vintages of a landed macro file (a row of `ops.landed_files`)."""
        if row.file_hash in self._decoded:
            return self._decoded[row.file_hash]
        path = self._archived(row.file_hash, row.source_file)
        file = _verify_macro(DeliveredFile(path, row.source_file, row.file_hash))
        return macro.screen_macro(file.rows, self._universe).series

    def _bars(
        self, schema: str, intervals: Sequence[Interval], files: pd.DataFrame, symbols: pd.DataFrame
    ) -> pd.DataFrame:
        table = BARS_TABLES[schema]
        files = files[files["vendor_schema"] == schema]
        wanted = np.zeros(len(files), bool)
        for first, last in intervals:
            # A trade date begins on the evening before, for Monday on Sunday: three days leave room for both.
            opens = pd.Timestamp(max(first, np.datetime64("1990-01-01")), tz="UTC") - pd.Timedelta(days=3)
            closes = pd.Timestamp(min(last, np.datetime64("2200-01-01")), tz="UTC") + pd.Timedelta(days=1)
            wanted |= ((files["span_start"] < closes) & (files["span_end"] > opens)).to_numpy()
        if not wanted.any():
            return pd.DataFrame(columns=[column.name for column in table.columns])
        bars = merge_bars([self._decode(row) for row in files[wanted].itertuples()])
        dates = bars["date"].to_numpy().astype("datetime64[D]")
        inside = np.zeros(len(bars), bool)
        for first, last in intervals:
            inside |= (dates >= first) & (dates <= last)
        bars = bars[inside].reset_index(drop=True)
        if bars.empty:
            return pd.DataFrame(columns=[column.name for column in table.columns])
        return self._with_session_facts(bars, schema, files, symbols)[[column.name for column in table.columns]]

    def _with_session_facts(
        self, bars: pd.DataFrame, schema: str, files: pd.DataFrame, symbols: pd.DataFrame
    ) -> pd.DataFrame:
        """Add each bar's session contract and whether landed data covers its session."""
        symbols = files[["file_hash", "landing_sequence", "span_start", "span_end"]].merge(symbols, on="file_hash")
        symbols = symbols.sort_values("landing_sequence", kind="stable")
        mapping = merge_mappings([symbols.rename(columns={"mapping_start": "start_date", "mapping_end": "end_date"})])
        sessions = bars[["root", "symbol", "date"]].drop_duplicates().astype({"root": str, "symbol": str})
        dates = sessions["date"].to_numpy().astype("datetime64[D]")
        opens, closes = self._session_spans(sessions["root"].to_numpy(), dates, schema)
        spans = symbols[["symbol", "span_start", "span_end"]].drop_duplicates()
        spans = spans.rename(columns={"span_start": "start", "span_end": "end"})
        sessions["session_instrument_id"] = session_instruments(mapping, sessions["symbol"].to_numpy(), dates)
        sessions["session_covered"] = covered(spans, sessions["symbol"].to_numpy(), opens, closes)
        sessions["symbol"] = pd.Categorical(sessions["symbol"], categories=bars["symbol"].cat.categories)
        return bars.merge(sessions.drop(columns="root"), on=["symbol", "date"], how="left", validate="many_to_one")

    def _session_spans(self, roots: np.ndarray, dates: np.ndarray, schema: str) -> tuple[np.ndarray, np.ndarray]:
        """What must be landed for a session to be complete: its hours, or its UTC days for vendor day bars."""
        if schema == "ohlcv-1d":
            monday = weekdays(dates) == 0
            return (dates - monday.astype("timedelta64[D]")).astype("datetime64[ns]"), (dates + 1).astype(
                "datetime64[ns]"
            )
        opens, closes = np.empty(len(dates), "datetime64[ns]"), np.empty(len(dates), "datetime64[ns]")
        for root in np.unique(roots):
            own = roots == root
            opens[own], closes[own] = session_bounds(str(root), dates[own], self._universe)
        return opens, closes

    def _decode(self, row: Any) -> pd.DataFrame:
        """Screened bars of a landed file (a row of `ops.landed_files`)."""
        if row.file_hash in self._decoded:
            return self._decoded[row.file_hash]
        # The hash is checked again: what was believed at landing must still be what is read.
        file = verify(DeliveredFile(self._archived(row.file_hash, row.source_file), row.source_file, row.file_hash))
        screened = screen_bars(file.bars, file.schema, self._universe, (file.start, file.end))
        return screened.bars.assign(source_file=row.source_file, dataset=file.dataset)

    def _archived(self, file_hash: str, name: str) -> Path:
        return self._archive / file_hash[:2] / f"{file_hash}.{name.partition('.')[2]}"

    def _keep(self, file: VerifiedFile | macro.VerifiedMacroFile, name: str) -> None:
        """Copy a delivered file, registered as `name`, into the archive; a copy that was cut short is never seen.

        A copy that was damaged since is replaced: landing the file again is what the error about it asks for.
        """
        target = self._archived(file.sha256, name)
        if target.exists() and hashlib.sha256(target.read_bytes()).hexdigest() == file.sha256:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{uuid.uuid4().hex}.part")
        shutil.copyfile(file.path, partial)
        partial.replace(target)


_File = TypeVar("_File", VerifiedFile, macro.VerifiedMacroFile)


def _first_of_each(files: Sequence[_File], known: Collection[str]) -> list[_File]:
    """The files whose content is not known yet, each content once."""
    new: dict[str, _File] = {}
    for file in files:
        if file.sha256 not in known:
            new.setdefault(file.sha256, file)
    return list(new.values())


def _rows_of(table: Table, frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames of a table's columns below each other; an empty frame with these columns for none."""
    names = [column.name for column in table.columns]
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True)[names] if filled else pd.DataFrame(columns=names)


def _verify_macro(file: DeliveredFile) -> macro.VerifiedMacroFile:
    found = macro.verify_macro(file.path)
    if file.sha256 is not None and found.sha256 != file.sha256:
        raise HashMismatchError(
            file.path, f"its sha256 is {found.sha256}, {file.sha256} was expected", "Copy the file again"
        )
    return found


def _days(dates: pd.Series) -> np.ndarray:
    return dates.to_numpy().astype("datetime64[D]")


def _landed_entries(
    source: str, table: Table, dates: np.ndarray, landed: pd.DataFrame, moment: pd.Timestamp
) -> pd.DataFrame:
    """Ledger rows of a landing source for its rows on `dates`; others are left out."""
    rows = check_slice(table, dates, landed[np.isin(_days(landed[table.partitioning.column]), dates)])
    return pd.DataFrame(
        {
            "table_name": source,
            "partition_key": dates.astype(str),
            "content_hash": content_hashes(rows),
            "row_count": rows.row_counts,
            "written_at": moment,
            "written_run": "landing",
            "code_version": "1",
            "input_fingerprint": "",
            "verified_at": moment,
            "verified_run": "landing",
        }
    )


def _touched_trade_dates(files: pd.DataFrame) -> np.ndarray:
    """Weekdays whose trade date any of the files' spans touches (datetime64[D], ascending)."""
    if not len(files):
        return np.empty(0, "datetime64[D]")
    first = trade_dates(utc_instants(files["span_start"]))
    last = trade_dates(utc_instants(files["span_end"] - pd.Timedelta(1, "ns")))
    spans = pd.DataFrame({"first": first, "last": last}).drop_duplicates().to_numpy("datetime64[D]")
    days = np.unique(np.concatenate([np.arange(start, stop + 1) for start, stop in spans]))
    return days[np.is_busday(days)]


def _run_rows(files: pd.DataFrame, started: pd.Timestamp) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "event_id": "landing:" + files["file_hash"],
            "source": files["source_file"],
            "run_status": "success",
            "started_at": started,
            "ended_at": now_utc(),
            "rows_in": files["file_rows"],
            "rows_out": files["kept_rows"],
            "rows_rejected": files["rejected_rows"],
            "rows_held_back": 0,
            "partitions_written": None,
            "partitions_unchanged": None,
            "code_version": None,
            "error_message": None,
        }
    )
