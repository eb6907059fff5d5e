"""How many single mistakes do the tests notice? A seeded sample of mutants, each against its module's own tests.

    python mutation/mutants.py --mutants 200 --seed 1

Cosmic Ray finds every mutation of the modules of the rooms and applies one at a time, in two clones of HEAD that this
script makes; the working tree is never written. Places are sampled, then one mutant of each: an operator that can be
replaced in eleven ways counts as often as a number. A mutant runs against the tests that mirror its module (and those
named in `ALSO`), stopping at the first failure; one that takes several times as long as the tests do is killed.

Not sampled, by kind: type annotations, code for type checkers or `__main__`, the wording of errors, `==` against `is`,
decorators that only remember or guard, the arguments `strict=`, `copy=`, `frozen=` and `dtype=`, which guard or say
what the values are already, and the arithmetic of simulated markets. Other mutants that change nothing are told apart
by reading, not left out.
"""

from __future__ import annotations

import argparse
import ast
import collections
import concurrent.futures
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import operators
from cosmic_ray.commands.init import init
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.testing import run_tests
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult

ROOT = Path(__file__).resolve().parent.parent
PACKAGE, TESTS = Path("cbi_dagster"), Path("cbi_dagster_tests")
ROOMS = ("market", "features", "matrix", "policy", "training", "warehouse", "orchestration", "vendors", "cli")
#: Tests of a module beside or in place of those named after it.
ALSO = {
    "warehouse/changes.py": ["warehouse/test_contract.py", "warehouse/test_duckdb.py"],
    "warehouse/contract.py": ["warehouse/test_duckdb.py", "warehouse/test_ledger.py"],
    "warehouse/duckdb.py": ["warehouse/test_contract.py"],
    "warehouse/overlay.py": ["warehouse/test_contract.py"],
    "orchestration/assets.py": ["orchestration/test_checks.py", "orchestration/test_io_manager.py"],
    "orchestration/jobs.py": ["orchestration/test_runs.py"],
    "orchestration/landing.py": ["orchestration/test_sensors.py"],
    "orchestration/partitions.py": ["orchestration/test_io_manager.py"],
    "vendors/archive.py": ["vendors/test_files.py"],
    "vendors/landing.py": ["vendors/test_unland.py"],
    "vendors/kinds.py": ["vendors/databento/test_landed_bars.py", "vendors/test_landing.py"],
    "vendors/simulated_markets.py": ["vendors/test_simulate.py"],
    "vendors/databento/bars.py": ["vendors/databento/test_plausibility.py"],
    "vendors/databento/bar_files.py": ["vendors/databento/test_bars.py", "vendors/databento/test_dbn.py"],
    "vendors/databento/writing.py": ["vendors/databento/test_dbn.py", "vendors/test_simulate.py"],
    "cli/building.py": ["cli/test_commands.py"],
    "cli/landing.py": ["cli/test_commands.py"],
    "cli/looking.py": ["cli/test_building.py", "cli/test_commands.py", "cli/test_features.py"],
    "cli/main.py": ["cli/test_commands.py", "cli/test_process.py"],
    "cli/parameters.py": ["cli/test_commands.py"],
}

_SAME = ("_Eq_Is", "_Is_Eq", "_NotEq_IsNot", "_IsNot_NotEq")
_GUARDING = {"abstractmethod", "cache", "lru_cache"}
#: One invented market is as good as another: its numbers and its arithmetic are no statements.
_INVENTED = PACKAGE / "vendors/simulated_markets.py"
_ARITHMETIC = ("NumberReplacer", "ReplaceBinaryOperator", "ReplaceUnaryOperator")
_WITHOUT_RESULT = {"strict", "copy", "dtype", "frozen"}
_Span = tuple[tuple[int, int], tuple[int, int]]


def tests_of(module: Path) -> list[str]:
    """Test files of a module: `test_<name>*.py` in the mirrored directory and those of `ALSO`, else all of its room."""
    inside = module.relative_to(PACKAGE)
    mirrored = TESTS / inside.parent
    named = {*mirrored.glob(f"test_{inside.stem}.py"), *mirrored.glob(f"test_{inside.stem}_*.py")}
    named |= {TESTS / also for also in ALSO.get(inside.as_posix(), ())}
    named = named or {*mirrored.glob("test_*.py")} or {*(TESTS / inside.parts[0]).rglob("test_*.py")}
    if not named:
        raise ValueError(f"{module} has no tests: name some in ALSO of {Path(__file__).name}")
    return sorted(str(path) for path in named)


def command(module: Path) -> str:
    return " ".join([sys.executable, "-m", "pytest -q -x -p no:cacheprovider -m 'not slow'", *tests_of(module)])


def meaningless(source: str) -> list[_Span]:
    """Where a mutation says nothing about behaviour: (line, column) of start and end, exclusive."""
    nodes: list[ast.expr | ast.stmt | ast.keyword] = []
    decorators: list[ast.expr] = []
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
            nodes.append(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            nodes += [node.returns] if node.returns else []
            decorators += [decorator for decorator in node.decorator_list if _names(decorator) & _GUARDING]
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            nodes += [*node.exc.args, *(keyword.value for keyword in node.exc.keywords)]
        elif isinstance(node, ast.If) and {"TYPE_CHECKING", "__name__"} & _names(node.test):
            nodes.append(node)
    nodes += [node for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg in _WITHOUT_RESULT]
    # A decorator begins at its @, the expression after it.
    starts = [(n, (n.lineno, n.col_offset)) for n in nodes] + [(n, (n.lineno, n.col_offset - 1)) for n in decorators]
    return [(start, (n.end_lineno or n.lineno, n.end_col_offset or 0)) for n, start in starts]


def _names(node: ast.expr) -> set[str]:
    inside = list(ast.walk(node))
    return {n.id for n in inside if isinstance(n, ast.Name)} | {n.attr for n in inside if isinstance(n, ast.Attribute)}


def sample(items: Iterable[WorkItem], count: int, seed: int) -> list[WorkItem]:
    """`count` places of all that have a meaning, drawn by `seed`, and one mutant of each."""
    places: dict[tuple[str, tuple[int, int]], list[WorkItem]] = collections.defaultdict(list)
    blind: dict[Path, list[_Span]] = {}
    for item in items:
        mutation = item.mutations[0]
        path, at = mutation.module_path, mutation.start_pos
        if path not in blind:
            blind[path] = meaningless(path.read_text())
        invented = path == _INVENTED and any(kind in mutation.operator_name for kind in _ARITHMETIC)
        same = invented or mutation.operator_name.endswith(_SAME)
        if not same and not any(start <= at < end for start, end in blind[path]):
            places[str(path), at].append(item)
    draw = random.Random(seed)
    drawn = draw.sample(sorted(places), min(count, len(places)))
    return [draw.choice(sorted(places[place], key=_identity)) for place in drawn]


def _identity(item: WorkItem) -> tuple[str, tuple[int, int], str, int]:
    mutation = item.mutations[0]
    return str(mutation.module_path), mutation.start_pos, mutation.operator_name, mutation.occurrence


def _enter(clones: multiprocessing.Queue[str]) -> None:
    """Make this process work in a clone of its own, where every import and every process of a test finds the mutant."""
    operators.register()
    clone = clones.get()
    os.chdir(clone)
    # Hypothesis draws the same examples each time, and keeps none, where CI is set.
    os.environ |= {"PYTHONPATH": clone, "CI": "true"}


def _baseline(tests: str) -> float:
    """Seconds that a command of tests takes without any mutation; they pass."""
    started = time.perf_counter()
    outcome, output = run_tests(tests, 1200)
    if outcome is not TestOutcome.SURVIVED:
        raise RuntimeError(f"{tests} fails without any mutation:\n{output}")
    return time.perf_counter() - started


def run(database: WorkDB, chosen: Sequence[WorkItem], directory: Path) -> None:
    """Results of the chosen mutants into the session `database`, two at a time in clones below `directory`."""
    clones: multiprocessing.Queue[str] = multiprocessing.Queue()
    for number in range(2):
        clone = directory / f"clone{number}"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        # Compiled files that are checked against the source by hash: nothing stale is imported, nothing is written.
        compiled = [
            sys.executable,
            "-m",
            "compileall",
            "-q",
            "--invalidation-mode",
            "checked-hash",
            str(PACKAGE),
            str(TESTS),
        ]
        subprocess.run(compiled, cwd=clone, check=True)
        clones.put(str(clone))
    with concurrent.futures.ProcessPoolExecutor(2, initializer=_enter, initargs=(clones,)) as pool:
        tests = {item.job_id: command(item.mutations[0].module_path) for item in chosen}
        commands = sorted(set(tests.values()))
        seconds = dict(zip(commands, pool.map(_baseline, commands), strict=True))
        waiting = {
            pool.submit(mutate_and_test, item.mutations, tests[item.job_id], 20 + 4 * seconds[tests[item.job_id]]): item
            for item in sorted(chosen, key=_identity)
        }
        for done, future in enumerate(concurrent.futures.as_completed(waiting), start=1):
            item, result = waiting[future], future.result()
            database.set_result(item.job_id, result)
            told = killed(item, result) if result.is_killed else "\n".join(survivor(item, result))
            print(f"{done}/{len(chosen)} {told}", file=sys.stderr, flush=True)


def place(mutation: MutationSpec) -> str:
    name = mutation.operator_name.split("/")[1]
    return f"{mutation.module_path.relative_to(PACKAGE)}:{mutation.start_pos[0]} {name}"


def report(database: WorkDB) -> Iterator[str]:
    """The score by room as Markdown, then each survivor with the change that nobody noticed."""
    judged = [(i, r) for i, r in database.completed_work_items if r.worker_outcome is not WorkerOutcome.SKIPPED]
    judged.sort(key=lambda pair: _identity(pair[0]))
    yield from ("| room | mutants | killed | score |", "| --- | ---: | ---: | ---: |")
    rooms = [(r, [p for p in judged if p[0].mutations[0].module_path.parts[1] == r]) for r in ROOMS]
    for room, inside in [*rooms, ("all", judged)]:
        killed = sum(result.is_killed for _, result in inside)
        yield f"| {room} | {len(inside)} | {killed} | {killed / max(len(inside), 1):.1%} |"
    for item, result in judged:
        if not result.is_killed:
            yield from ("", *survivor(item, result))


def killed(item: WorkItem, result: WorkResult) -> str:
    """The place and the test that noticed; no test for a mutant that cannot be imported or takes too long."""
    noticed = [line.split(" - ")[0] for line in (result.output or "").splitlines() if line[:6] in ("FAILED", "ERROR ")]
    return f"{place(item.mutations[0])}: {noticed[0] if noticed else (result.output or '')[-80:]}"


def survivor(item: WorkItem, result: WorkResult) -> list[str]:
    changed = [line for line in (result.diff or "").splitlines() if line[:1] in "+-" and line[1:2] not in "+-"]
    return [f"survived: {place(item.mutations[0])}", *changed]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=200, help="how many to sample")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", default=ROOMS, help="rooms, or modules such as market/rolls.py")
    options = parser.parse_args()
    operators.register()
    os.chdir(ROOT)
    modules = [p for only in options.only for p in sorted((PACKAGE / only).rglob("*.py")) or [PACKAGE / only]]
    with tempfile.TemporaryDirectory() as name, use_db(Path(name) / "session.sqlite") as database:
        init(modules, database, {})
        chosen = sample(database.work_items, options.mutants, options.seed)
        run(database, chosen, Path(name))
        print("\n".join(report(database)))


if __name__ == "__main__":
    main()
