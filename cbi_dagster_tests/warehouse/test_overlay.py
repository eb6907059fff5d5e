"""A warehouse over another one: it answers as if it had been written to, and the one below stays as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables import ops
from cbi_dagster.warehouse import overlay
from cbi_dagster.warehouse.contract import Warehouse
from cbi_dagster.warehouse.duckdb import DuckDBWarehouse

from .conftest import SAMPLE
from .test_contract import dates_of, left_out, prices

DAYS = np.arange(np.datetime64("2024-01-02"), np.datetime64("2024-01-06"))
LABELS = tuple(DAYS.astype(str).tolist())


@pytest.fixture
def base(file: Path, provenance, rows) -> Warehouse:
    """Four days, each with rows left out."""
    store = DuckDBWarehouse(file)
    store.replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS, run="base"), left_out(LABELS, LABELS))
    return store


def everything(warehouse: Warehouse) -> list[pd.DataFrame]:
    books = (SAMPLE, ops.QUARANTINE, ops.HELD_BACK, ops.INGESTION_RUNS, ops.LANDED_FILES)
    return [warehouse.ledger_rows(), *(warehouse.read(table).to_pandas() for table in books)]


def change(warehouse: Warehouse, provenance, rows) -> None:
    """The second day corrected, the third one emptied, the fourth one confirmed under other code."""
    frame = rows(LABELS[1], LABELS[3]).sort_values("date")
    frame.loc[frame["date"] == LABELS[1], "price"] = 9.0
    frame.loc[frame["date"] == LABELS[3], "price"] = [6.5, 7.5]
    frame.loc[frame["date"] == LABELS[3], "volume"] = [6, 7]
    warehouse.replace(SAMPLE, DAYS[1:], frame, provenance(DAYS[1:], code="2"), left_out(LABELS[1:2]))


def test_it_answers_as_the_base_would_had_it_been_written_to(base, file, provenance, rows, tmp_path):
    over = base.overlay()
    change(over, provenance, rows)
    change(base, provenance, rows)
    moments = ["written_at", "verified_at", "ingestion_ts", "started_at", "ended_at"]
    for found, expected in zip(everything(over), everything(base), strict=True):
        pd.testing.assert_frame_equal(
            found.drop(columns=moments, errors="ignore"), expected.drop(columns=moments, errors="ignore")
        )
    assert over.coverage(SAMPLE) == base.coverage(SAMPLE)


def test_the_base_stays_as_it_was(base, provenance, rows):
    before = everything(base)
    over = base.overlay()
    change(over, provenance, rows)
    over.drop(SAMPLE.id)
    for found, expected in zip(everything(base), before, strict=True):
        pd.testing.assert_frame_equal(found, expected)


def test_what_others_write_to_the_base_is_seen_but_where_it_was_written_over(base, file, provenance, rows):
    over = base.overlay()
    over.replace(SAMPLE, DAYS[:1], rows(LABELS[0]).assign(price=1.0), provenance(DAYS[:1]))
    other = rows(*LABELS[:2]).assign(price=5.0)
    DuckDBWarehouse(file).replace(SAMPLE, DAYS[:2], other, provenance(DAYS[:2]))
    seen = prices(over)
    assert [seen[label, "ZL"] for label in LABELS[:2]] == [1.0, 5.0]


def test_an_overlay_of_an_overlay_leaves_the_lower_one_as_it_was(base, provenance, rows):
    lower = base.overlay()
    change(lower, provenance, rows)
    before = everything(lower)
    upper = lower.overlay()
    upper.replace(SAMPLE, DAYS[:1], rows(LABELS[0]).assign(price=1.0), provenance(DAYS[:1]), left_out())
    assert prices(upper)[LABELS[0], "ZL"] == 1.0
    assert prices(upper)[LABELS[1], "ZL"] == 9.0
    assert dates_of(upper, ops.QUARANTINE) == ["01-03"]
    for found, expected in zip(everything(lower), before, strict=True):
        pd.testing.assert_frame_equal(found, expected)


def test_large_writes_are_the_same_from_a_file(base, provenance, rows, monkeypatch):
    monkeypatch.setattr(overlay, "_IN_MEMORY_BYTES", 0)
    over, under = base.overlay(), base.overlay()
    change(over, provenance, rows)
    monkeypatch.undo()
    change(under, provenance, rows)
    pd.testing.assert_frame_equal(
        to_frame(SAMPLE, over.read(SAMPLE)).drop(columns="ingestion_ts"),
        to_frame(SAMPLE, under.read(SAMPLE)).drop(columns="ingestion_ts"),
    )
