"""Deliveries that end at any instant: what the vendor had by then, with a header that says so."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from cbi_dagster.market.sessions import BAR_NS
from cbi_dagster.vendors.databento.dbn import decode_dbn
from cbi_dagster.vendors.databento.writing import write_dbn
from cbi_dagster.vendors.files import DeliveredFile, content_of


def cut_delivery(source: Path, target: Path, since: pd.Timestamp, until: pd.Timestamp) -> Path:
    """The simulated files of `source` as far as they are about [`since`, `until`): bars that had ended by then.

    Macro files are left out: they say of every value when it was known.
    """
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("*.dbn.zst")):
        file = decode_dbn(content_of(DeliveredFile(path, path.name)))
        start, end = max(file.start, since), min(file.end, until)
        if start >= end:
            continue
        length = pd.Timedelta(BAR_NS[file.schema], "ns")
        bars = file.bars[(file.bars["ts_event"] >= start) & (file.bars["ts_event"] + length <= end)]
        mapping = file.mapping[
            (file.mapping["start_date"] < end.tz_convert(None)) & (file.mapping["end_date"] > start.tz_convert(None))
        ]
        write_dbn(
            target / f"cut-{path.name}", dataset=file.dataset, schema=file.schema, stype_in="continuous",
            start=start, end=end, mappings=mapping, bars=bars, symbols=list(file.symbols),
        )  # fmt: skip
    return target
