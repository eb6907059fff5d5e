"""`cbi rebuild`: what the warehouse was made of at an earlier instant, built anew in another place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cbi_dagster.cli.building import refreshed
from cbi_dagster.cli.looking import print_refused
from cbi_dagster.cli.main import Failure, cbi, console, examples, looked_at, opened
from cbi_dagster.cli.parameters import instant as an_instant
from cbi_dagster.home import Home

if TYPE_CHECKING:
    import pandas as pd

    from cbi_dagster.vendors.kinds import LandedFile

#: What a directory was rebuilt as. While that is under way it is called `Home.rebuilding`: a rebuild that was cut short
#: goes on where it says the same.
_RECORD = "rebuilt.json"


@cbi.command(
    epilog=examples(
        "cbi rebuild --as-landed-by 2024-06-03T18:30Z --out ~/audit",
        "CBI_HOME=~/audit cbi export zl_training_prod_allhistory_1w --out then.parquet",
    )
)
@click.option(
    "--as-landed-by",
    "instant",
    required=True,
    metavar="INSTANT",
    callback=an_instant,
    help="With a zone, e.g. 2024-06-03T18:30Z; inclusive.",
)
@click.option("--out", "place", required=True, type=click.Path(path_type=Path), help="A directory, new or empty.")
def rebuild(instant: pd.Timestamp, place: Path) -> None:
    """Build the tables as the files that were landed by an instant make them, in a state directory of its own.

    Later deliveries and corrections are not in it, and files that were withdrawn since are: what a model was trained on
    can be had again. Code and settings are the present ones. Landed files are taken by hash, without a copy where the
    file system allows it. The same command goes on after it was cut short; until then no other command shows it.
    """
    from cbi_dagster.catalog import ASSET_TABLES
    from cbi_dagster.catalog.tables.ops import LANDED_FILES
    from cbi_dagster.warehouse.contract import RegistryMovedError, now_utc

    home, other = Home.from_environment(), Home(place.expanduser().resolve(), environment={})
    if instant > now_utc():
        raise Failure(f"{_shown(instant)} is to come: nobody knows what will be landed by then")
    source = looked_at(home)
    files = source.landing.landed_by(instant)
    if not files:
        first = min(source.warehouse.read(LANDED_FILES, columns=["landed_at"])["landed_at"].to_pylist(), default=None)
        told = "nothing ever was" if first is None else f"the first file was landed at {_shown(first)}"
        raise Failure(f"no file was landed in {home.place} by {_shown(instant)}; {told}")
    _claim(other, instant, files)
    console.print(f"{home.place} as of {_shown(instant)}, {len(files):,} files → {other.place}", soft_wrap=True)
    target = opened(other)
    if not target.warehouse.read(LANDED_FILES, columns=["file_hash"]).num_rows:
        try:
            with console.status("taking landed files …") as status:
                found = target.landing.take_over(
                    source.landing, files, lambda stage, done, total: status.update(f"{stage} … {done}/{total}")
                )
        except RegistryMovedError as error:
            raise Failure(str(error)) from error
        for result in found.values():
            print_refused(result.refused)
    refreshed(other, ASSET_TABLES)
    other.rebuilding.replace(other.path / _RECORD)
    console.print(f"`CBI_HOME={other.place} cbi status` shows what is there.", soft_wrap=True)


def _claim(home: Home, instant: pd.Timestamp, files: Sequence[LandedFile]) -> None:
    """Make a state directory the place of this rebuild, not done; fails where something else is in it."""
    digest = hashlib.sha256("".join(file.file_hash for file in files).encode()).hexdigest()
    stated = {"as_landed_by": _shown(instant), "files": len(files), "files_digest": digest}
    directory, done = home.path, home.path / _RECORD
    for record in (done, home.rebuilding):
        if record.exists() and json.loads(record.read_text(encoding="utf-8")) == stated:
            record.replace(home.rebuilding)
            return
    # A record that was cut short while it was written is ours, and says nothing.
    if directory.exists() and (not directory.is_dir() or any(path.suffix != ".part" for path in directory.iterdir())):
        raise Failure(f"{directory} is not empty, and what is in it is not this rebuild: name another directory")
    directory.mkdir(parents=True, exist_ok=True)
    partial = home.rebuilding.with_suffix(".part")
    partial.write_text(json.dumps(stated, indent=2) + "\n", encoding="utf-8")
    partial.replace(home.rebuilding)


def _shown(instant: pd.Timestamp) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%S.%f}".rstrip("0").rstrip(".") + "Z"
