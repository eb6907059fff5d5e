"""Whether a file that was downloaded is what was asked for, as a whole."""

from __future__ import annotations

import warnings
from pathlib import Path

from cbi_dagster.vendors.databento.asking import Request
from cbi_dagster.vendors.databento.client import BrokenStreamError
from cbi_dagster.vendors.files import some


def require_whole(path: Path, request: Request, records: int) -> None:
    """Raise BrokenStreamError unless a file holds the `records` records of a request, and its header says so too.

    A file that is cut decodes without an error: only the vendor's own count proves that nothing lacks.
    """
    found = records_of(path, request)
    if found != records:
        raise BrokenStreamError(f"{request}: {found:,} records came, the vendor has {records:,}")


def records_of(path: Path, request: Request, *, whole: bool = True) -> int:
    """How many records a file has that answers a request, or with `whole` False a part of its period.

    Raises BrokenStreamError.
    """
    import databento
    from databento.common.error import BentoWarning

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", BentoWarning)
            store = databento.DBNStore.from_file(path)
            try:
                header, count = store.metadata, store.to_ndarray().size
            finally:
                store.reader.close()
    except Exception as error:  # whatever the decoder raises on damaged bytes means that they are damaged
        raise BrokenStreamError(f"{request}: what came cannot be read ({error})") from None
    span = int(header.start), int(header.end or 0)
    asked = request.start.as_unit("ns").value, request.end.as_unit("ns").value
    stated = {
        "dataset": (header.dataset, request.dataset),
        "schema": (str(header.schema), request.schema),
        "kind of symbol": (str(header.stype_in), request.stype_in),
        "symbols": (sorted(header.symbols), sorted(request.symbols)),
        "period": (span, asked) if whole else (asked[0] <= span[0] < span[1] <= asked[1], True),
    }
    for what, (is_there, wanted) in stated.items():
        if is_there != wanted:
            raise BrokenStreamError(f"{request}: the {what} of what came is {is_there}, not {wanted}")
    if header.not_found:
        raise BrokenStreamError(f"{request}: the vendor found no {some(header.not_found)}")
    return int(count)
