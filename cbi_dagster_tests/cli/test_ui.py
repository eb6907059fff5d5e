"""`cbi ui`: what it hands over to Dagster. That Dagster then shows it is tested in orchestration/test_ui.py."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cbi_dagster.cli.main import cbi, console
from cbi_dagster.home import Home


@pytest.mark.parametrize(
    ("watch", "watched"),
    [((), ""), (("--watch", "arrivals"), "{here}/arrivals"), (("--watch", "gs://b/arrivals"), "gs://b/arrivals")],
)
def test_the_web_server_and_its_daemon_get_the_state_the_port_and_where_files_arrive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watch: tuple[str, ...], watched: str
) -> None:
    python = tmp_path / "python"
    told = '"$*" "$PWD" "$CBI_HOME" "$DAGSTER_HOME" "$CBI_WATCH"'
    python.write_text(f'#!/bin/sh\nprintf "%s\\n" {told} > "$0.told"\nexit 7\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(console, "width", 400)
    monkeypatch.delenv("CBI_WATCH", raising=False)
    monkeypatch.chdir(tmp_path)
    result = CliRunner(env={"CBI_HOME": "state"}).invoke(cbi, ["ui", "--port", "3456", *watch])
    home = Home(tmp_path / "state")
    assert result.output == f"Dagster UI on http://127.0.0.1:3456 (state in {home.path}); Ctrl-C ends it.\n"
    assert result.exit_code == 7, "that of the web server"
    assert (tmp_path / "python.told").read_text().splitlines() == [
        f"-m dagster dev -w {home.workspace} -h 127.0.0.1 -p 3456",
        str(home.dagster),
        str(home.path),
        str(home.dagster),
        watched.format(here=tmp_path),
    ]
    assert home.warehouse_file.exists()
    assert any(home.dagster.rglob("runs.db")), "the instance is whole before several processes use it"
