"""What the vendor says of its own UTC days."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cbi_dagster.vendors.databento.conditions import decode_conditions
from cbi_dagster.vendors.files import CorruptFileError
from cbi_dagster_tests.vendors.small_files import content


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "condition.json"
    path.write_text(text)
    return path


def test_every_day_has_its_condition_and_a_missing_one_was_never_modified(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '[{"date": "2020-06-30", "condition": "degraded", "last_modified_date": "2023-03-01"},'
        ' {"date": "2020-07-01", "condition": "missing", "last_modified_date": null}]',
    )
    days = decode_conditions(content(path))
    assert days["utc_date"].tolist() == [pd.Timestamp("2020-06-30"), pd.Timestamp("2020-07-01")]
    assert days["condition"].tolist() == ["degraded", "missing"]
    assert days["last_modified_date"][0] == pd.Timestamp("2023-03-01")
    assert days["last_modified_date"][1] is pd.NaT


@pytest.mark.parametrize(
    "text",
    [
        "{}", "[1]", "[null]", '["a day"]', "[[]]", '[{"date": "2020-06-30"}]',
        '[{"date": "30.06.2020", "condition": "degraded"}]', '[{"date": null, "condition": "degraded"}]',
        '[{"date": "2020-06-30", "condition": "a"}, {"date": "2020-06-30", "condition": "b"}]', "[" * 100_000,
    ],
    ids=range(10),
)  # fmt: skip
def test_what_is_no_list_of_days_is_refused_by_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(CorruptFileError, match=r"condition\.json.*no list of the vendor's days"):
        decode_conditions(content(written(tmp_path, text)))
