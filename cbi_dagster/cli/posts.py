"""`cbi posts`: bringing posts of policy into files that `cbi land` takes."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import click

from cbi_dagster.cli.main import Failure, cbi, console, examples
from cbi_dagster.cli.parameters import DATE


@cbi.group(epilog=examples("cbi posts convert tweets_2016_2020.csv --out posts"))
def posts() -> None:
    """Bring posts of policy into files that `cbi land` takes."""


@posts.command(epilog=examples("cbi posts convert tweets_2016_2020.csv truth_2025.csv --out posts", "cbi land posts"))
@click.argument("archives", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--out", "out_dir", required=True, type=click.Path(file_okay=False, path_type=Path), help="Directory to write into."
)
def convert(archives: tuple[Path, ...], out_dir: Path) -> None:
    """Write archives of posts (CSV or Parquet, known by their columns) in the layout that `cbi land` takes.

    Every row becomes a row; the door judges them. What an archive covers is written beside it (`*.posts-coverage.csv`):
    look at it before you land it.
    """
    from cbi_dagster.vendors.files import DeliveryError
    from cbi_dagster.vendors.posts.archives import convert_archive

    for path in archives:
        try:
            done = convert_archive(path, out_dir)
        except DeliveryError as error:
            raise Failure(str(error)) from error
        console.print(f"{path.name} ({done.what}): {done.rows:,} rows")
        for file in done.files:
            console.print(f"  {file}")
        if len(done.files) == 1:
            console.print("  what it covers does not follow from it: state it, or its posts make no feature known")


@posts.command(
    epilog=examples(
        "export CBI_POSTS_KEY=… && cbi posts fetch --account realDonaldTrump --since 2025-11-01 --out posts"
    )
)
@click.option("--account", required=True, help="Account whose posts are asked for.")
@click.option("--since", required=True, type=DATE, help="First date (UTC).")
@click.option(
    "--out", "out_dir", required=True, type=click.Path(file_okay=False, path_type=Path), help="Directory to write into."
)
@click.option("--source", default="truth_social", show_default=True, help="What the posts' source is called.")
@click.option("--url", help="Address of a service that pages posts as Mastodon has them (default: of Truth Social).")
def fetch(account: str, since: dt.datetime, out_dir: Path, source: str, url: str | None) -> None:
    """Ask a service for the posts of an account, and write them and what they cover for `cbi land`.

    The service's key is read from the environment (CBI_POSTS_KEY). Repeat it with a `--since` before the last one: what
    overlaps is the same posts.
    """
    import pandas as pd

    from cbi_dagster.vendors.posts.download import TRUTH_SOCIAL, DownloadError, Service, download_posts

    key = os.environ.get("CBI_POSTS_KEY", "")
    if not key:
        raise Failure("CBI_POSTS_KEY is not set: it holds the key of the service that posts are asked of")
    try:
        done = download_posts(
            Service(url or TRUTH_SOCIAL, key),
            source=source,
            account=account,
            since=pd.Timestamp(since, tz="UTC"),
            now=pd.Timestamp.now("UTC"),
            out_dir=out_dir,
        )
    except DownloadError as error:
        raise Failure(f"{error}; nothing was written") from error
    console.print(f"{done.posts:,} posts from {done.span[0]:%Y-%m-%d %H:%M} to {done.span[1]:%Y-%m-%d %H:%M} UTC:")
    for file in done.files:
        console.print(f"  {file}")
