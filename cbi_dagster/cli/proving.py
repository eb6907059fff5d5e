"""`cbi prove`: what is stored knows nothing of later times, and does not depend on how it was built."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.table import Table as Grid

from cbi_dagster.cli.main import Failure, cbi, console, examples, looked_at
from cbi_dagster.cli.parameters import select
from cbi_dagster.home import Home

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cbi_dagster.catalog import Table
    from cbi_dagster.prove import TableProof


@cbi.command(epilog=examples("cbi prove", "cbi prove --cuts 20", "cbi prove --select fib_levels_daily --cuts 1"))
@click.option("--cuts", type=click.IntRange(min=1), default=3, show_default=True, help="Instants to cut deliveries at.")
@select
def prove(cuts: int, tables: list[Table]) -> None:
    """Make rows again of what was there at earlier instants, and compare them bit for bit with what is stored.

    Deliveries are cut at instants spread over history, in the middle of sessions too, and the last dates of every table
    are made of what is left. Single partitions and a few together are made from the windows that are declared. Training
    tables are looked at for features that tell the target and labels that reach into a later split. Nothing but what
    was found is written (ops.proofs); the Dagster UI shows it as the check `proof`. Exit code 1: something differs.
    """
    from cbi_dagster import prove as proving
    from cbi_dagster.orchestration import runs
    from cbi_dagster.reports import checks

    home = Home.from_environment()
    platform = looked_at(home)
    behind = proving.with_inputs(tables)
    present = platform.builder.plan(behind)
    if stale := [*present.landed, *(item.table.id for item in present.tables), *present.blocked]:
        raise Failure(f"{', '.join(stale)} must be current to be proved; `cbi refresh` first")
    try:
        instants = proving.cut_instants(platform.warehouse, cuts)
        with console.status("proving …") as status:
            proofs = proving.prove(
                platform, tables, instants, lambda stage, done, total: status.update(f"{done}/{total} {stage} …")
            )
            status.update("looking for targets among features …")
            apart = [
                checks.LEAKAGE.function(platform.warehouse, table, None)
                for table in tables
                if table in checks.LEAKAGE.tables
            ]
    except (proving.NothingToProveError, proving.MovedError, proving.UnprovableError) as error:
        raise Failure(str(error)) from error
    proving.record(platform.builder, proofs)
    found = [(checks.PROOF, checks.PROOF.function(platform.warehouse, proof.table, None)) for proof in proofs]
    runs.keep(home, [*found, *((checks.LEAKAGE, result) for result in apart)])
    _print(proofs)
    console.print("Deliveries were cut at " + ", ".join(f"{instant:%Y-%m-%d %H:%M}Z" for instant in instants) + ".")
    told = [f"  {proof.table.id}: {finding}" for proof in proofs for finding in proof.findings]
    told += [f"  {line}" for result in apart for line in checks.lines(checks.LEAKAGE, result, result.problems)]
    if told:
        raise Failure("\n".join([f"{len(told)} findings: what is stored is not what was known", *told]))
    console.print("Every row made again is the stored one.")


def _print(proofs: Sequence[TableProof]) -> None:
    grid = Grid("table", "cuts", "rows compared", "differ", "partitions alone", "differ")
    for proof in proofs:
        counts = (proof.cuts, proof.rows, proof.rows_differing, proof.alone, proof.alone_differing)
        grid.add_row(proof.table.id, *(f"{count:,}" for count in counts))
    console.print(grid)
