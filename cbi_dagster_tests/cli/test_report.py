"""`cbi report` where there is little or nothing."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest

from cbi_dagster_tests.cli.commands import build_bars, cbi


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hours are landed and built, and nothing that is made of them."""
    return build_bars(tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("delivery"), dt.date(2023, 6, 9))


def test_where_no_session_is_built_every_section_says_so(home, tmp_path):
    out = tmp_path / "report.html"
    done = cbi(home, "report", "--out", out)
    assert (done.exit_code, str(out) in done.output) == (0, True)
    text = out.read_text(encoding="utf-8")
    assert text.count('class="empty"') == text.count("<section") - 1  # coverage shows the bars
    assert "cbi refresh" in text


def test_where_nothing_is_landed_there_is_no_page(tmp_path):
    done = cbi(tmp_path / "none", "report", "--out", tmp_path / "report.html")
    assert (done.exit_code, "nothing is landed" in done.output) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_a_page_needs_a_directory_that_is_there(home, tmp_path):
    done = cbi(home, "report", "--out", tmp_path / "none" / "report.html")
    assert (done.exit_code, "there is no directory" in done.output) == (1, True)


def test_a_wrong_date_is_a_wrong_call(home):
    assert cbi(home, "report", "--date", "June").exit_code == 2


def test_help_has_an_example(home):
    assert "cbi report --symbol MES --date 2024-06-03 --out mes.html" in cbi(home, "report", "--help").output


def test_pictures_cost_nothing_where_none_is_made():
    lines = (
        "import sys, cbi_dagster.cli, cbi_dagster.definitions; assert not any('matplotlib' in m for m in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", lines], check=True)
