"""Landing: `cbi land` of a delivery, of its last months in files of one day each, and of one more day, against a peer.

The peer is an earlier commit (`git worktree add ../earlier COMMIT`), run with the same installed packages on the same
files, in turn with this one. Times are processor time of whole processes, start-up included, the best of the rounds:
what else the machine does adds to the clock. `cbi status` on the same directory says what starting up takes. Content
hashes of all trade dates are compared.

Example:
    python benchmarks/landing.py ~/databento/GLBX-20251216-XXXXXXXXXX --against ../earlier --rounds 2
"""

from __future__ import annotations

import argparse
import datetime as dt
import tempfile
from pathlib import Path

import pandas as pd
from recording import cbi, children_processor_seconds, markdown, versions

from cbi_dagster.home import Home
from cbi_dagster.vendors.databento.landed_bars import decode_bars
from cbi_dagster.vendors.databento.writing import write_dbn
from cbi_dagster.vendors.files import DeliveredFile, content_of
from cbi_dagster.vendors.simulate import simulate_delivery

DAY = pd.Timedelta(days=1)


def split_by_day(files: list[Path], out_dir: Path) -> list[Path]:
    """The bars of DBN files in files of one UTC day each, in order of time."""
    written = []
    for path in files:
        file = decode_bars(content_of(DeliveredFile(path, path.name)))
        for day in pd.date_range(file.start.normalize(), file.end, freq="D", inclusive="left"):
            within = (file.bars["ts_event"] >= day) & (file.bars["ts_event"] < day + DAY)
            first, last = (moment.tz_localize(None) for moment in (day, day + DAY))
            mapping = file.mapping[(file.mapping["start_date"] < last) & (file.mapping["end_date"] > first)]
            written.append(
                write_dbn(
                    out_dir / f"{day:%Y%m%d}.{file.schema}.dbn.zst",
                    dataset=file.dataset,
                    schema=file.schema,
                    stype_in=file.stype_in,
                    start=day,
                    end=day + DAY,
                    mappings=mapping.assign(start_date=first, end_date=last),
                    bars=file.bars[within].drop_duplicates("source_row"),
                )
            )
    return written


def hashes(home: Path) -> pd.Series:
    """The content hash of each landed trade date."""
    ledger = Home(home).open().warehouse.ledger_rows()
    landed = ledger[ledger["table_name"].str.startswith("landing.")]
    found: pd.Series = landed.set_index(["table_name", "partition_key"])["content_hash"].sort_index()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("delivery", type=Path, nargs="?", help="a directory of DBN files of bars")
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--rounds", type=int, default=1, help="how often each is timed, in turn")
    parser.add_argument("--months", type=int, default=24, help="how many of the last files to split by day")
    parser.add_argument("--small", action="store_true", help="a miniature run, to see that it works")
    options = parser.parse_args()
    checkouts = {"here": Path(__file__).parents[1]} | ({"there": options.against.resolve()} if options.against else {})
    times: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        if options.small:
            options.delivery = scratch / "delivery"
            simulate_delivery(options.delivery, seed=1, start=dt.date(2024, 6, 3), end=dt.date(2024, 6, 8))
        elif options.delivery is None:
            parser.error("say which delivery")
        days = scratch / "days"
        days.mkdir()
        files = sorted(options.delivery.rglob("*.ohlcv-1h.dbn*"))
        *_, last = split_by_day(files[-options.months :], days)
        last = last.rename(scratch / last.name)
        for number in range(options.rounds):
            for name, checkout in checkouts.items():
                homes = scratch / f"{name}{number}"
                for step, home, arguments in (
                    (f"the delivery, {len(files)} files", "whole", ("land", str(options.delivery.resolve()))),
                    (f"{len(list(days.iterdir()))} files of a day", "days", ("land", str(days))),
                    ("one more file of a day", "days", ("land", str(last))),
                    ("start-up (`cbi status`)", "days", ("status",)),
                ):
                    before = children_processor_seconds()
                    cbi(homes / home, *arguments, checkout=checkout)
                    times.setdefault((step, name), []).append(children_processor_seconds() - before)
        print(versions("duckdb", "numpy", "pandas"))
        if options.against:
            for home in ("whole", "days"):
                here, there = (hashes(scratch / f"{name}0" / home) for name in checkouts)
                print(
                    f"{home}: {len(here):,} trade dates, {'the same hashes' if here.equals(there) else 'OTHER HASHES'}"
                )
    rows = []
    for step in dict.fromkeys(step for step, _ in times):
        row = [step, *(f"{min(times[step, name]):.1f} s" for name in checkouts)]
        rows.append(row + ([f"{min(times[step, 'here']) / min(times[step, 'there']):.2f}"] if options.against else []))
    print(markdown(["processor time", "here", "there", "here / there"][: len(rows[0])], rows))


if __name__ == "__main__":
    main()
