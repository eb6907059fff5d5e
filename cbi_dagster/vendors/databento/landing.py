"""Landing: verified vendor files become the platform's bars, by content hash and in landing order.

Files are kept as delivered, under their hash, and decoded on demand. A file is taken once; on the same bar the later
delivery wins and the change is recorded. All facts of a landing, the content hash of every trade date it touches
included, are committed in one transaction: a broken file changes nothing.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from cbi_dagster.catalog import LANDING_SOURCES, Table
from cbi_dagster.catalog.tables import ops
from cbi_dagster.catalog.tables.market_data import OHLCV_1H, OHLCV_1M, OHLCV_UTC_1D
from cbi_dagster.config.universe import Universe
from cbi_dagster.market.sessions import session_bounds, trade_dates
from cbi_dagster.vendors.databento.bars import (
    Screened,
    corrections,
    covered,
    merge_bars,
    merge_mappings,
    screen_bars,
    session_instruments,
)
from cbi_dagster.vendors.databento.delivery import DeliveryError, VerifiedFile, open_delivery, verify
from cbi_dagster.warehouse.contract import check_slice, now_utc, to_arrow, to_frame
from cbi_dagster.warehouse.duckdb import DuckDBWarehouse, insert, write_ledger
from cbi_dagster.warehouse.hashing import content_hashes

BARS_TABLES: dict[str, Table] = {"ohlcv-1m": OHLCV_1M, "ohlcv-1h": OHLCV_1H, "ohlcv-1d": OHLCV_UTC_1D}
_SOURCES = {schema: source for source, schema in LANDING_SOURCES.items()}
_DAY = np.timedelta64(1, "D")

Progress = Callable[[str, int, int], None]


class DatasetMismatchError(ValueError):
    """Files of another vendor dataset than the warehouse already holds (simulated data never mixes with real)."""


@dataclass(frozen=True)
class LandingReport:
    """What a landing did. `files` has one row per delivered file, `rejected` one per rejected row."""

    files: pd.DataFrame
    rejected: pd.DataFrame
    corrections: pd.DataFrame
    outside: dict[str, int] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()

    @property
    def new_files(self) -> int:
        return int((self.files["outcome"] == "landed").sum())


class Landing:
    """The landed vendor files of one warehouse: taking new ones and reading their merged bars."""

    def __init__(self, warehouse: DuckDBWarehouse, archive: Path, universe: Universe) -> None:
        self._warehouse = warehouse
        self._archive = archive
        self._universe = universe
        self._screened: dict[str, pd.DataFrame] = {}

    # -- taking files ----------------------------------------------------------------------------------------------

    def land(self, paths: Sequence[Path], progress: Progress = lambda stage, done, total: None) -> LandingReport:
        """Verify deliveries and take their new files; all of them, or none.

        `progress(stage, done, total)` is called as files are verified. Raises DeliveryError (every broken file is
        named in the message) or DatasetMismatchError; no table has changed then.
        """
        started = now_utc()
        with ExitStack() as stack:
            delivered, ignored = [], []
            for path in paths:
                delivery = stack.enter_context(open_delivery(path))
                delivered += delivery.files
                ignored += delivery.ignored
            verified: list[VerifiedFile] = []
            broken: list[DeliveryError] = []
            for number, file in enumerate(delivered):
                progress("verifying", number, len(delivered))
                try:
                    verified.append(verify(file))
                except DeliveryError as error:
                    broken.append(error)
            progress("verifying", len(delivered), len(delivered))
            if len(broken) == 1:
                raise broken[0]
            if broken:
                raise ExceptionGroup(f"{len(broken)} of {len(delivered)} files are broken; nothing was landed", broken)
            return self._take(verified, tuple(ignored), started, progress)

    def _take(
        self, verified: list[VerifiedFile], ignored: tuple[str, ...], started: pd.Timestamp, progress: Progress
    ) -> LandingReport:
        registry = self._files()
        self._refuse_other_dataset(registry, verified)
        seen = set(registry["file_hash"])
        new: list[VerifiedFile] = []
        outcomes = []
        for file in sorted(verified, key=lambda f: (f.schema, f.start, f.name)):
            outcomes.append("already landed" if file.sha256 in seen else "landed")
            if file.sha256 not in seen:
                seen.add(file.sha256)
                new.append(file)
        sequence = int(registry["landing_sequence"].max()) + 1 if len(registry) else 0
        screened: dict[str, Screened] = {}
        for number, file in enumerate(new):
            progress("screening", number, len(new))
            screened[file.sha256] = screen_bars(file.bars, file.schema, self._universe, (file.start, file.end))
        files = pd.DataFrame(
            [self._file_row(file, screened[file.sha256], sequence + number, started) for number, file in enumerate(new)],
            columns=[column.name for column in ops.LANDED_FILES.columns],
        )
        symbols = _concat([self._symbol_rows(file) for file in new], ops.LANDED_SYMBOLS)
        rejected = _concat([_quarantine_rows(file, screened[file.sha256]) for file in new], ops.QUARANTINE)
        changed = []
        for schema in files["vendor_schema"].unique():
            changed.append(self._corrections(schema, [f for f in new if f.schema == schema], screened, registry, started))
        corrected = _concat(changed, ops.CORRECTIONS)
        outside: dict[str, int] = {}
        for item in screened.values():
            for symbol, rows in item.outside_counts.items():
                outside[str(symbol)] = outside.get(str(symbol), 0) + int(rows)
        if new:
            for file in new:
                self._keep(file)
                self._screened[file.sha256] = self._with_provenance(screened[file.sha256].bars, file.name, file.dataset)
            progress("hashing trade dates", 0, 1)
            ledger = self._ledger_rows(pd.concat([registry, files]), symbols, new, started)
            with self._warehouse.transaction() as connection:
                for table, rows in (
                    (ops.LANDED_FILES, files),
                    (ops.LANDED_SYMBOLS, symbols),
                    (ops.QUARANTINE, rejected),
                    (ops.CORRECTIONS, corrected),
                    (ops.INGESTION_RUNS, self._run_rows(files, started)),
                ):
                    insert(connection, table, check_slice(table, np.array([0], "datetime64[D]"), rows).data)
                write_ledger(connection, ledger)
            progress("hashing trade dates", 1, 1)
        report = pd.DataFrame({"source_file": [f.name for f in sorted(verified, key=lambda f: (f.schema, f.start, f.name))]})
        report["outcome"] = outcomes
        report = report.merge(files.drop(columns="landed_at"), on="source_file", how="left")
        return LandingReport(report, rejected, corrected, outside, ignored)

    def _refuse_other_dataset(self, registry: pd.DataFrame, verified: list[VerifiedFile]) -> None:
        datasets = set(registry["dataset"]) | {file.dataset for file in verified}
        if len(datasets) > 1:
            raise DatasetMismatchError(
                f"{self._warehouse.path} would mix the datasets {', '.join(sorted(datasets))}; "
                "land each dataset under a CBI_HOME of its own"
            )

    def _file_row(self, file: VerifiedFile, screened: Screened, sequence: int, landed_at: pd.Timestamp) -> dict[str, object]:
        return {
            "file_hash": file.sha256,
            "landing_sequence": sequence,
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
            "outside_rows": int(sum(screened.outside_counts.values())),
            "landed_at": landed_at,
        }

    def _symbol_rows(self, file: VerifiedFile) -> pd.DataFrame:
        """The file's symbology for the universe; a symbol it could not resolve keeps its span without a contract."""
        kinds = classify_symbols(file.symbols, self._universe)
        wanted = kinds[kinds["kind"].isin(["continuous", "outright"])]
        rows = wanted[["symbol", "root"]].merge(file.mapping, on="symbol", how="left")
        last = (file.end - pd.Timedelta(1, "ns")).tz_convert(None).normalize() + pd.Timedelta(days=1)
        return pd.DataFrame(
            {
                "file_hash": file.sha256,
                "symbol": rows["symbol"],
                "root": rows["root"],
                "mapping_start": rows["start_date"].fillna(file.start.tz_convert(None).normalize()),
                "mapping_end": rows["end_date"].fillna(last),
                "instrument_id": rows["instrument_id"].astype("Int64"),
            }
        )

    def _corrections(
        self,
        schema: str,
        new: list[VerifiedFile],
        screened: dict[str, Screened],
        registry: pd.DataFrame,
        landed_at: pd.Timestamp,
    ) -> pd.DataFrame:
        """Bars of the new files that differ from what earlier files, or earlier files of this landing, said."""
        earlier = self._overlapping(registry, schema, [(file.start, file.end) for file in new])
        before = [self._bars_of(row.file_hash, row.source_file) for row in earlier.itertuples()]
        frames = []
        for file in new:
            bars = screened[file.sha256].bars
            if before:
                known = merge_bars(before)
                frames.append(corrections(known, bars).assign(file_hash=file.sha256))
            before.append(bars)
            before = [frame for frame in before if frame["ts_event"].max() >= file.start or len(new) == 1]
        rows = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
        return rows.assign(vendor_schema=schema, landed_at=landed_at) if len(rows) else rows

    def _keep(self, file: VerifiedFile) -> None:
        """Copy a delivered file into the archive under its hash; a copy that was cut short is never seen."""
        target = self._archived(file.sha256)
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
        shutil.copyfile(file.path, partial)
        partial.replace(target)
