"""The guides: every page is in the site, the site builds, and what a page shows runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from nbclient import NotebookClient

import cbi_dagster
from cbi_dagster_tests.properties.worlds import World

ROOT = Path(cbi_dagster.__file__).parents[1]
DOCS = ROOT / "docs"


def pages(entries: list[object]) -> set[str]:
    """The files that a navigation names, at whatever depth."""
    found: set[str] = set()
    for entry in entries:
        value = next(iter(entry.values())) if isinstance(entry, dict) else entry
        found |= pages(value) if isinstance(value, list) else {str(value)}
    return found


def test_every_page_is_in_the_site() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]
    assert pages(nav) == {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}


def test_the_site_builds_without_a_broken_link(tmp_path: Path) -> None:
    shutil.copytree(DOCS, tmp_path / "docs")
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    (handler,) = (plugin["mkdocstrings"] for plugin in config["plugins"] if isinstance(plugin, dict))
    handler["handlers"]["python"]["paths"] = [str(ROOT)]
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(config), "utf-8")
    command = [Path(sys.executable).with_name("zensical"), "build", "--strict"]
    built = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert built.returncode == 0, built.stdout + built.stderr
    page = (tmp_path / "site" / "api" / "index.html").read_text("utf-8")
    assert "load_training_frame" in page
    assert "The rows of a training table" in page


def test_the_notebook_trains_and_scores(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CBI_HOME", str(world.path))
    notebook = nbformat.read(DOCS / "notebooks" / "train_and_score.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs are of some home and not committed"
    done = NotebookClient(notebook, timeout=900, kernel_name="python3").execute()
    said = "".join(output.get("text", "") for cell in done.cells for output in cell.get("outputs", []))
    assert re.search(r"2023-08-31: [+-]\d+\.\d\d% over five sessions", said)


def test_the_first_hours_model_runs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CBI_HOME", str(world.path))
    (shown,) = re.findall(r"```python\n(.*?)```", (DOCS / "first_hour.md").read_text("utf-8"), re.DOTALL)
    exec(shown, {})


def test_what_sql_and_notebooks_shows_runs(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CBI_HOME", str(world.path))
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "sql_and_notebooks.md").read_text("utf-8")
    for line in re.findall(r"^cbi (?:sql|export) .*$", page, re.MULTILINE):
        subprocess.run([f"{Path(sys.executable).parent}/{line}"], shell=True, check=True, timeout=900)
    names: dict[str, object] = {}
    for shown in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(shown, names)
    features = names["features"]
    assert isinstance(features, list)
    assert "pivots_P" in features
    assert "target_1m" not in features
