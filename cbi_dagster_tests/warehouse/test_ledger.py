"""The ledger by table: what it says is what is stored, also while a shared connection remembers it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cbi_dagster.catalog.tables.ops import PARTITION_LEDGER
from cbi_dagster.catalog.tables.regimes import REGIME_WEIGHTS
from cbi_dagster.warehouse.contract import Warehouse
from cbi_dagster.warehouse.ledger import NOTHING, Ledger
from cbi_dagster.warehouse.slices import to_arrow

from .conftest import SAMPLE

DAYS = np.array(["2024-01-02", "2024-01-03", "2024-01-04"], dtype="datetime64[D]")


def told(ledger: Ledger) -> dict[str, list[object]]:
    return {name: np.asarray(values).tolist() for name, values in vars(ledger).items() if name != "sums"}


def stored(warehouse: Warehouse) -> dict[str, dict[str, list[object]]]:
    """What the ledger's rows say."""
    rows = to_arrow(PARTITION_LEDGER, warehouse.ledger_rows())
    return {name: told(ledger) for name, ledger in Ledger.by_table(rows).items()}


def remembered(warehouse: Warehouse) -> dict[str, dict[str, list[object]]]:
    return {name: told(ledger) for name, ledger in warehouse.ledger_by_table().items()}


def test_what_is_remembered_of_the_ledger_follows_every_write(warehouse, provenance, rows):
    with warehouse.shared_connection():
        assert warehouse.ledger_by_table({SAMPLE.id}) == {}
        for dates, code, factor in (
            (["2024-01-03"], "1", 1.0),  # new
            (["2024-01-02", "2024-01-04"], "1", 1.0),  # on both sides of it
            (["2024-01-03"], "1", 2.0),  # corrected
            (["2024-01-02", "2024-01-03"], "2", 2.0),  # one changed, one only verified
        ):
            keys = np.array(dates, "datetime64[D]")
            frame = rows(*dates)
            result = warehouse.replace(
                SAMPLE, keys, frame.assign(price=frame["price"] * factor), provenance(keys, code=code)
            )
            assert result.table_rows == sum(stored(warehouse)[SAMPLE.id]["row_counts"])
            assert remembered(warehouse) == stored(warehouse)
        (ledger,) = warehouse.ledger_by_table({SAMPLE.id}).values()
        assert ledger.keys.tolist() == DAYS.tolist()
        warehouse.drop(SAMPLE.id)
        assert warehouse.ledger_by_table({SAMPLE.id}) == {}


def test_every_write_gives_the_ledger_of_its_table_a_later_version(warehouse, provenance, rows):
    assert NOTHING.version == 0
    versions = []
    for code in "12":
        warehouse.replace(SAMPLE, DAYS[:1], rows("2024-01-02"), provenance(DAYS[:1], code=code))
        versions.append(warehouse.ledger_by_table()[SAMPLE.id].version)
    assert versions[0] < versions[1]


def test_rows_of_the_ledger_and_its_arrays_say_the_same():
    text = np.array(["a", "b"], object)
    instants = np.array(["2024-01-02T03:04:05.678901", "2024-02-02"], "datetime64[us]")
    daily = Ledger(DAYS[:2], text, np.array([3, 4]), instants, text[::-1], text, text, instants[::-1], text)
    whole = replace(daily.only(np.array([True, False])), keys=REGIME_WEIGHTS.partitioning.expected(DAYS))
    for table, ledger in ((SAMPLE, daily), (REGIME_WEIGHTS, whole)):
        (back,) = Ledger.by_table(ledger.rows(table)).items()
        assert (back[0], told(back[1])) == (table.id, told(ledger))
    assert told(NOTHING.replaced(daily)) == told(daily)
    assert told(daily.replaced(NOTHING)) == told(daily)
    assert told(daily.only(np.array([False, True])).replaced(daily)) == told(daily)
