"""The account of code: which versions of the tables' code built with, kept beside what they built.

`ops.code_versions` holds the parts of every version, so that a plan can name what changed since, and under which files
of the package each version was found, so that a plan need not look into the source while no file has changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property

import pandas as pd

from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.ops import CODE_VERSIONS
from cbi_dagster.catalog.versions import CodeVersion
from cbi_dagster.warehouse.contract import Warehouse


class CodeAccount:
    """The present code versions of the tables, and those that a warehouse was built with.

    `present()` finds the version of each table, by table id; `files` is the digest of the package's files, on which
    alone these depend.
    """

    def __init__(self, present: Callable[[], Mapping[str, CodeVersion]], files: str) -> None:
        self._find = present
        self._files = files
        self._digests: dict[str, str] | None = None
        self._recorded = False

    @cached_property
    def _present(self) -> Mapping[str, CodeVersion]:
        return self._find()

    def digests(self, warehouse: Warehouse) -> dict[str, str]:
        """The present version of each table's code, by table id."""
        if self._digests is None:
            rows = warehouse.read(CODE_VERSIONS, columns=("table_name", "code_version", "package_files")).to_pylist()
            known = {row["table_name"]: row["code_version"] for row in rows if row["package_files"] == self._files}
            self._recorded = bool(known)
            self._digests = known or {name: version.digest for name, version in self._present.items()}
        return self._digests

    def changes_since(self, warehouse: Warehouse, table_id: str, earlier: str) -> tuple[str, ...] | None:
        """The parts of a table's code that are not as in version `earlier`; None where no account was kept of it."""
        known = to_frame(CODE_VERSIONS, warehouse.read(CODE_VERSIONS))
        rows = known[(known["table_name"] == table_id) & (known["code_version"] == earlier)]
        return None if rows.empty else self._present[table_id].changes_since(json.loads(rows["code_parts"].iloc[0]))

    def record(self, warehouse: Warehouse) -> None:
        """Keep the present versions, before anything is built under them."""
        if not self._recorded:
            rows = [
                (name, version.digest, self._files, json.dumps(version.parts, sort_keys=True))
                for name, version in self._present.items()
            ]
            names = [column.name for column in CODE_VERSIONS.columns]
            warehouse.record(CODE_VERSIONS, pd.DataFrame(rows, columns=names))
            self._recorded = True
