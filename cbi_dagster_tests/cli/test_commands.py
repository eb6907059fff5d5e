"""`cbi` as a person meets it: every command explains itself, says what it did, and fails in words and with a code."""

from __future__ import annotations

import datetime as dt
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from cbi_dagster.catalog import ASSET_TABLES
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.features import DAILY_ML_MATRIX
from cbi_dagster.catalog.tables.market_data import OHLCV_1H
from cbi_dagster.cli.main import STALE
from cbi_dagster.cli.main import cbi as group
from cbi_dagster.home import Home
from cbi_dagster.vendors.simulate import SIMULATED_DATASET, simulate_delivery, simulate_macro
from cbi_dagster.warehouse.contract import Warehouse
from cbi_dagster_tests.cli.commands import cbi
from cbi_dagster_tests.vendors.small_files import restating_file, zl_file

pytestmark = pytest.mark.usefixtures("files_stay_open")

DAY, LAST = "2023-06-14", "2023-06-23"
#: The first of the simulated months has one faulty bar.
FAULTY = 1


@dataclass(frozen=True)
class Scene:
    """A state directory built through the commands, and what they said."""

    path: Path
    landed: Result
    planned: Result
    refreshed: Result

    @property
    def warehouse(self) -> Warehouse:
        return Home(self.path).open().warehouse


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    home, delivery = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("delivery")
    start, end = dt.date(2023, 6, 5), dt.date(2023, 6, 24)
    simulate_delivery(delivery, seed=3, start=start, end=end, minute_start=dt.date(2023, 6, 20))
    simulate_macro(delivery, seed=3, start=start, end=end)
    return Scene(home, cbi(home, "land", delivery), cbi(home, "plan"), cbi(home, "refresh"))


# -- help -------------------------------------------------------------------------------------------------------------


def commands(group: click.Group = group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_every_command_explains_itself_with_examples_that_it_understands(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(group, [*path, "--help"])
    assert result.exit_code == 0
    command: click.Command = group
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    assert command.get_short_help_str(), "no line for the list of commands"
    assert all(getattr(option, "help", "") for option in command.params if isinstance(option, click.Option))
    examples = [line for line in result.output.partition("Examples:")[2].splitlines() if "cbi" in line]
    own = [part.split() for line in examples for part in re.split(r"&&|\|\|", line)]
    own = [words for words in own if words[1 : 1 + len(path)] == list(path)]
    assert own, "no example of the command itself"
    for words in own:
        arguments = shlex.split(" ".join(words[1 + len(path) :]))
        command.make_parser(click.Context(command)).parse_args(arguments)


def test_the_list_of_commands_says_where_state_lives() -> None:
    result = CliRunner().invoke(group, ["--help"])
    assert "CBI_HOME" in result.output
    assert {path[0] for path in commands()} <= set(result.output.split())


# -- the usual day ----------------------------------------------------------------------------------------------------


def test_landing_says_what_came_in_and_what_was_rejected(scene: Scene) -> None:
    assert scene.landed.exit_code == 0
    assert "3 files landed, 0 were here already" in scene.landed.output
    assert re.search(r"ohlc_order\s*│ \S+\.v\.0\s*│ 1 ", scene.landed.output)


def test_a_plan_names_every_table_that_data_was_landed_for_before_anything_is_built_and_exits_with_3(
    scene: Scene,
) -> None:
    assert scene.planned.exit_code == STALE == 3
    without = {table.id for table in ASSET_TABLES if table.id not in scene.planned.output}
    bars = {"databento_futures_ohlcv_utc_1d", "databento_conditions", "databento_futures_statistics", "instruments"}
    settled = {"settlements_1d", "futures_eod"}
    posts = {"policy_posts", "policy_coverage", "policy_events"}
    assert without == {f"market_data.{name}" for name in bars | settled} | {
        f"raw_intelligence.{name}" for name in posts
    }
    assert "missing" in scene.planned.output


def test_a_refresh_says_what_it_wrote_and_exits_with_3_then_with_0(scene: Scene) -> None:
    assert scene.refreshed.exit_code == STALE
    assert re.search(r"features\.daily_ml_matrix .* 15 written, 0 unchanged\n", scene.refreshed.output)
    for command in ("refresh", "plan"):
        again = cbi(scene.path, command)
        assert (again.exit_code, again.output.strip()) == (0, "Nothing is stale.")


def test_landing_again_says_that_nothing_is_new(scene: Scene, tmp_path: Path) -> None:
    archived = next((scene.path / "landing").rglob("*.ohlcv-1m.dbn.zst"))
    result = cbi(scene.path, "land", archived)
    assert (result.exit_code, result.output.strip()) == (0, "0 files landed, 1 were here already.")


def test_status_accounts_for_every_table_and_every_row_left_out(scene: Scene) -> None:
    result = cbi(scene.path, "status")
    assert result.exit_code == 0
    assert f"3 files landed (MACRO, {SIMULATED_DATASET})" in result.output
    lines = {line.split()[1]: line for line in result.output.splitlines() if line.startswith("│ ")}
    assert [table.id for table in ASSET_TABLES if table.id not in lines] == []
    rows = len(scene.warehouse.read(DAILY_ML_MATRIX))
    assert f" {rows:,} " in lines[DAILY_ML_MATRIX.id]
    assert LAST in lines[DAILY_ML_MATRIX.id]
    assert re.search(rf"landing\.ohlcv_1h .* ohlc_order .* {FAULTY} ", result.output)
    assert "session_not_covered" in result.output


def test_a_row_is_shown_one_column_a_line(scene: Scene) -> None:
    result = cbi(scene.path, "show", "daily_ml_matrix", "--date", DAY, "--symbol", "ZL")
    assert result.exit_code == 0
    shown = dict(re.findall(r"│ (\w+)\s+│ (.*?)\s+│", result.output))
    stored = to_frame(DAILY_ML_MATRIX, scene.warehouse.read(DAILY_ML_MATRIX))
    row = stored[(stored["symbol"] == "ZL") & (stored["data_date"] == DAY)].iloc[0]
    assert set(shown) == set(stored.columns)
    assert (shown["data_date"], shown["symbol"]) == (DAY, "ZL")
    assert float(shown["market_data_close"]) == pytest.approx(row["market_data_close"])
    unknown = [name for name in stored.columns if pd.isna(row[name])]
    assert unknown
    assert {shown[name] for name in unknown} == {"NULL"}


def test_an_export_is_the_whole_table(scene: Scene, tmp_path: Path) -> None:
    out = tmp_path / "bars.parquet"
    out.write_bytes(b"yesterday's")
    with out.open("rb") as reader:
        result = cbi(scene.path, "export", "market_data.databento_futures_ohlcv_1h", "--out", out)
        assert reader.read() == b"yesterday's", "whoever reads the file meanwhile reads the old one to its end"
    assert result.exit_code == 0
    assert pq.read_table(out).equals(scene.warehouse.read(OHLCV_1H))
    part = cbi(
        scene.path,
        "export",
        OHLCV_1H.id,
        "--out",
        tmp_path / "zl.csv",
        "--from",
        DAY,
        "--to",
        DAY,
        "--symbol",
        "ZL.v.0",
    )
    assert part.output.startswith(f"{len(pd.read_csv(tmp_path / 'zl.csv'))} rows of {OHLCV_1H.id}")
    assert set(pd.read_csv(tmp_path / "zl.csv")["date"]) == {DAY}
    (tmp_path / "zl.csv").unlink()
    rows = len(scene.warehouse.read(OHLCV_1H))
    assert " ".join(result.output.split()) == f"{rows:,} rows of {OHLCV_1H.id} -> {out}"
    assert [path.name for path in tmp_path.iterdir()] == ["bars.parquet"]


def test_a_correction_is_planned_with_its_reason_and_its_true_extent(scene: Scene, tmp_path: Path) -> None:
    day = "2023-06-12"
    bars = to_frame(OHLCV_1H, scene.warehouse.read(OHLCV_1H))
    bar = bars[(bars["symbol"] == "HO.v.0") & (bars["date"] == day)].iloc[[5]]
    file = restating_file(tmp_path / "fix.ohlcv-1h.dbn.zst", bar, high=bar["high"].iloc[0] + 0.01)
    landed = cbi(scene.path, "land", file)
    assert "1 bars corrected" in landed.output

    planned = cbi(scene.path, "plan", "--json")
    assert planned.exit_code == STALE
    tables = {item["table"]: item for item in json.loads(planned.output)["upper_bound"]}
    assert planned.output == json.dumps(json.loads(planned.output), indent=2) + "\n", "people read it too"
    (first,) = tables[OHLCV_1H.id]["ranges"]
    assert first == {
        "first": day, "last": day, "partitions": 1, "rows": first["rows"], "certain": True,
        "reason": f"landing.ohlcv_1h {day} changed",
    }  # fmt: skip
    assert not any(part["certain"] for part in tables[DAILY_ML_MATRIX.id]["ranges"])

    both = ("--select", "databento_futures_ohlcv_1h", "--select", "databento_futures_ohlcv_1d")
    exact = cbi(scene.path, "plan", "--exact", "--json", *both)
    assert exact.exit_code == STALE
    sessions = "market_data.databento_futures_ohlcv_1d"
    assert json.loads(exact.output)["exact"] == {OHLCV_1H.id: [day], sessions: [day]}
    assert exact.output == json.dumps(json.loads(exact.output), indent=2) + "\n", "people read it too"
    shown = cbi(scene.path, "plan", "--exact", *both)
    assert re.search(rf"ohlcv_1h\s+│?\s*1\s+│?\s*\d+\s+│?\s*{day}\s+│?\s*{day}", shown.output), shown.output

    refreshed = cbi(scene.path, "refresh", *both)
    assert refreshed.exit_code == STALE
    assert re.search(r"ohlcv_1h .* 1 written, 0 unchanged", refreshed.output)
    assert cbi(scene.path, "plan", *both).exit_code == 0
    assert cbi(scene.path, "plan").exit_code == STALE, "the tables that were not selected are still stale"


# -- what cannot be done ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "NAME", "--date", DAY),
        ("export", "NAME", "--out", "x.parquet"),
        ("features", "--table", "NAME"),
        ("plan", "--select", "NAME"),
        ("refresh", "--select", "NAME"),
        ("backfill", "--select", "NAME"),
        ("reset", "NAME"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_an_unknown_table_is_refused_with_near_names_or_the_way_to_find_them(
    scene: Scene, arguments: tuple[str, ...]
) -> None:
    misspelt = cbi(scene.path, *(word.replace("NAME", "daily_ml_matrx") for word in arguments))
    assert misspelt.exit_code == 1
    assert "no table 'daily_ml_matrx'; did you mean daily_ml_matrix" in misspelt.stderr
    strange = cbi(scene.path, *(word.replace("NAME", "qqq") for word in arguments))
    assert strange.exit_code == 1
    assert "no table 'qqq'; `cbi status` lists the tables" in strange.stderr


@pytest.mark.parametrize("command", ["plan", "refresh", "backfill"])
def test_a_table_that_no_asset_makes_cannot_be_selected(scene: Scene, command: str) -> None:
    result = cbi(scene.path, command, "--select", "ops.quarantine")
    assert result.exit_code == 1
    assert "ops.quarantine keeps the books" in result.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty (0 bytes)"),
        (b"nonsense", "its header cannot be decoded"),
        (None, "its last compressed frame is incomplete"),
    ],
    ids=["empty", "nonsense", "truncated"],
)
def test_a_broken_file_is_refused_by_name(scene: Scene, tmp_path: Path, content: bytes | None, said: str) -> None:
    file = zl_file(tmp_path / "[zl].ohlcv-1h.dbn.zst", dataset=SIMULATED_DATASET)
    file.write_bytes(file.read_bytes()[:-9] if content is None else content)
    ledger = scene.warehouse.ledger_rows()
    result = cbi(scene.path, "land", file)
    assert result.exit_code == 1
    assert f"{file}: {said}" in result.stderr
    assert result.stderr.endswith("; nothing was landed\n")
    pd.testing.assert_frame_equal(scene.warehouse.ledger_rows(), ledger)


def test_several_broken_files_are_all_named(scene: Scene, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.ohlcv-1h.dbn.zst").write_bytes(b"")
    result = cbi(scene.path, "land", tmp_path)
    assert result.exit_code == 1
    assert [f"{name}.ohlcv-1h.dbn.zst: the file is empty" in result.stderr for name in ("a", "b")] == [True, True]


def test_real_and_simulated_data_do_not_mix(scene: Scene, tmp_path: Path) -> None:
    result = cbi(scene.path, "land", zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst"))
    assert result.exit_code == 1
    assert "GLBX.MDP3, SIM.DEMO: land each dataset under a CBI_HOME of its own; nothing was landed" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("land",), 2, "Missing argument"),
        (("reset",), 2, "Missing argument"),
        (("show", "daily_ml_matrix"), 2, "Missing option '--date'"),
        (("export", "daily_ml_matrix"), 2, "Missing option '--out'"),
        (("export", "daily_ml_matrix", "--out", "/"), 2, "is a directory"),
        (("export", "daily_ml_matrix", "--out", "x.csv", "--format", "parquet"), 1, "under a name that says csv"),
        (("export", "daily_ml_matrix", "--out", "x"), 1, "--format takes parquet, arrow or csv"),
        (("export", "regime_weights", "--out", "x.csv", "--from", "2024-06-03"), 1, "has no dates"),
        (("export", "regime_weights", "--out", "x.csv", "--symbol", "ZL"), 1, "has no symbols"),
        (
            ("export", OHLCV_1H.id, "--out", "x.csv", "--symbol", "ZL"),
            1,
            "no rows of these symbols and dates; its symbols are 6A.v.0",
        ),
        (("land", "/no/such/file"), 2, "does not exist"),
        (("land", __file__), 1, "its name does not say that it holds data"),
        (("show", "daily_ml_matrix", "--date", "14.6.2023"), 2, "does not match the format"),
        (("show", "daily_ml_matrix", "--date", "2001-01-01"), 1, "has no row for 2001-01-01"),
        (("show", "daily_ml_matrix", "--date", DAY, "--symbol", "XX"), 1, "no row for 2023-06-14 and symbol XX"),
        (("export", "daily_ml_matrix", "--out", "/no/such/directory/x.parquet"), 1, "No such file or directory"),
        (("backfill", "--from", "2030-01-01"), 1, "landed: 2023-06-05 … 2023-06-26"),
        (("features", "--table", "daily_ml_matrix", "--table", "ops.quarantine"), 1, "hold no features: choose from"),
        (("demo", "--from", "2023-07-01", "--to", "2023-06-01"), 2, "--from 2023-07-01 is after --to 2023-06-01"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else None,
)
def test_what_cannot_be_done_is_said(scene: Scene, arguments: tuple[str, ...], code: int, said: str) -> None:
    result = cbi(scene.path, *arguments)
    assert result.exit_code == code
    assert said in result.stderr


def test_a_state_directory_that_cannot_be_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = cbi(tmp_path / "file", "status")
    assert result.exit_code == 1
    assert str(tmp_path / "file") in result.stderr


def test_before_anything_is_landed_a_backfill_says_how_to_begin(tmp_path: Path) -> None:
    result = cbi(tmp_path, "backfill")
    assert result.exit_code == 1
    assert "(landed: nothing); `cbi land PATH` takes vendor files" in result.stderr
    assert "0 files landed" in cbi(tmp_path, "status").output
