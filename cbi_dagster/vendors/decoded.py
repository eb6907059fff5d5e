"""What files hold that are read whole for any span of their table, on this machine, so that each is decoded once."""

from __future__ import annotations

import hashlib
import json
import uuid
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

import pandas as pd
import pyarrow as pa

from cbi_dagster.vendors.kinds import Examined, LandedFile

_LAYOUT = 1  # of a copy; another number once copies are written otherwise
_DIGEST_BYTES = 32
_NAME_BYTES = 12
_FRAMES = ("kept", "rejected", "symbols")
_MOMENTS = ("start", "end")


class Decoded:
    """A directory of files that say what landed files hold: copies, of which nothing is lost with them.

    A copy is of a file's content as code of one version judged it, at the time at which it was landed. One that is
    damaged, or of another version, counts for nothing. Where none can be kept, as on a full disk, there is none.
    """

    def __init__(self, place: Path) -> None:
        self._place = place

    def get(self, file: LandedFile, code_version: str) -> Examined | None:
        """What a landed file holds by this code; None where no whole copy is here."""
        try:
            whole = self._copy(file, code_version).read_bytes()
        except OSError:
            return None
        digest, rest = whole[:_DIGEST_BYTES], whole[_DIGEST_BYTES:]
        if _digest(rest) != digest:
            return None
        source = pa.BufferReader(rest)
        frames = {}
        for name in _FRAMES:
            with pa.ipc.open_stream(source) as stream:
                table = stream.read_all()
            frames[name] = table.to_pandas()
        stated = json.loads(table.schema.metadata[b"stated"])
        stated |= {name: pd.Timestamp(stated[name], tz="UTC") for name in _MOMENTS}
        return Examined(**stated, **frames)

    def put(self, file: LandedFile, code_version: str, examined: Examined) -> None:
        """Keep a copy of what a landed file holds, in place of those of other versions."""
        stated = {field.name: getattr(examined, field.name) for field in fields(examined) if field.name not in _FRAMES}
        stated |= {"outside": dict(examined.outside)}
        stated |= {name: stated[name].as_unit("ns").value for name in _MOMENTS}
        sink = pa.BufferOutputStream()
        for name in _FRAMES:
            table = pa.Table.from_pandas(getattr(examined, name))
            table = table.replace_schema_metadata({**(table.schema.metadata or {}), "stated": json.dumps(stated)})
            with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as stream:
                stream.write_table(table)
        whole = sink.getvalue().to_pybytes()
        copy = self._copy(file, code_version)
        with suppress(OSError):
            copy.parent.mkdir(parents=True, exist_ok=True)
            partial = copy.with_name(f"{file.file_hash}.{uuid.uuid4().hex}.part")
            partial.write_bytes(_digest(whole) + whole)
            partial.replace(copy)
            for other in copy.parent.glob(f"{file.file_hash}.*"):
                if other != copy:
                    other.unlink()

    def _copy(self, file: LandedFile, code_version: str) -> Path:
        under = f"{_LAYOUT} {code_version} {file.source_file} {file.landed_at.as_unit('us').value} {pd.__version__}"
        name = hashlib.blake2b(under.encode(), digest_size=_NAME_BYTES).hexdigest()
        return self._place / file.file_hash[:2] / f"{file.file_hash}.{name}"


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()
