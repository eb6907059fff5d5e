"""The account of code: what is kept of the versions that something was built with, and what it saves."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from cbi_dagster.catalog.tables.ops import CODE_VERSIONS
from cbi_dagster.catalog.versions import CodeVersion
from cbi_dagster.warehouse.code import CodeAccount
from cbi_dagster.warehouse.contract import Warehouse

ONE = {"a.b": CodeVersion("1", {"code f": "x", "setting s": "y"}), "a.c": CodeVersion("7", {"code g": "z"})}
TWO = ONE | {"a.b": CodeVersion("2", {"code f": "x2", "setting t": "y"})}


class Found:
    """Present code versions, and how often somebody looked into the source for them."""

    def __init__(self, versions: Mapping[str, CodeVersion]) -> None:
        self.versions, self.times = versions, 0

    def __call__(self) -> Mapping[str, CodeVersion]:
        self.times += 1
        return self.versions


@pytest.fixture
def books(warehouse: Warehouse) -> Warehouse:
    warehouse.ensure([CODE_VERSIONS])
    return warehouse


def test_a_plan_looks_into_the_source_unless_no_file_has_changed_since_something_was_built(books):
    first = Found(ONE)
    account = CodeAccount(first, "files 1")
    assert account.digests(books) == {"a.b": "1", "a.c": "7"}
    assert not len(books.read(CODE_VERSIONS)), "a plan writes nothing"
    account.record(books)
    again = Found(ONE)
    assert CodeAccount(again, "files 1").digests(books) == {"a.b": "1", "a.c": "7"}
    assert (first.times, again.times) == (1, 0)
    edited = Found(TWO)
    assert CodeAccount(edited, "files 2").digests(books) == {"a.b": "2", "a.c": "7"}
    assert edited.times == 1


def test_what_changed_since_a_version_is_named_settings_first(books):
    CodeAccount(Found(ONE), "files 1").record(books)
    account = CodeAccount(Found(TWO), "files 2")
    assert account.changes_since(books, "a.b", "1") == ("setting s", "setting t", "code f")
    assert account.changes_since(books, "a.c", "7") == ()
    assert account.changes_since(books, "a.b", "0") is None, "nobody kept an account of that version"


def test_every_version_that_built_something_stays_in_the_account(books):
    for versions, files in ((ONE, "files 1"), (TWO, "files 2"), (ONE, "files 3")):
        account = CodeAccount(Found(versions), files)
        account.record(books)
        account.record(books)
    kept = {
        (row["table_name"], row["code_version"]): row["package_files"] for row in books.read(CODE_VERSIONS).to_pylist()
    }
    assert kept == {("a.b", "1"): "files 3", ("a.b", "2"): "files 2", ("a.c", "7"): "files 3"}
