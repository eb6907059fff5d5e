"""Hostile files at the door: each lands with every row accounted for, or is a named error, and nothing else happens."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zstandard

from cbi_dagster.catalog import TABLES
from cbi_dagster.home import Home
from cbi_dagster.vendors.files import DeliveryError
from cbi_dagster.vendors.landing import DatasetMismatchError
from cbi_dagster_tests.properties.worlds import World
from cbi_dagster_tests.vendors.small_files import zl_bars, zl_file

NAMES = (
    "zl.ohlcv-1h.dbn", "zl.ohlcv-1h.dbn.zst", "zl.ohlcv-1h.csv", "zl.ohlcv-1h.csv.zst", "zl.ohlcv-1h.csv.gz",
    "zl.ohlcv-1d.csv", "zl.ohlcv-1m.parquet", "glbx-mdp3-20240701-20240705.ohlcv-1h.ZLN4.csv", "sb.macro.csv",
    "sb.macro.parquet", "job.zip", "condition.json", "symbology.json", "manifest.json", "[red]ü\n.ohlcv-1h.csv",
    "x" * 240 + ".macro.csv", os.fsdecode(b"\xff\xfe.ohlcv-1h.csv"),
)  # fmt: skip
#: Of work, whatever else the machine does.
SECONDS = 20.0


def sound(name: str, directory: Path, random: np.random.Generator) -> bytes:
    """The content that a file of this name should have."""
    bars = zl_bars().iloc[: random.integers(1, 80)]
    if ".dbn" in name:
        return zl_file(directory / name, bars).read_bytes()
    if "macro" in name:
        rows = pd.DataFrame({"series_id": "SB", "date": "2024-07-01", "value": random.normal(20, 1, 3),
                             "available_at": ["2024-07-02", "2024-07-02T12:00:00Z", "2024-07-03"], "unit": "USc/lb",
                             "source": "ICE"})  # fmt: skip
    else:
        rows = bars.assign(symbol=random.choice(["ZLN4", "ZL.v.0", "ESU4", "XX"]))
    if name.endswith(".parquet"):
        sink = io.BytesIO()
        rows.to_parquet(sink)
        return sink.getvalue()
    text = rows.to_csv(index=False).encode()
    if name.endswith(".zst"):
        return zstandard.compress(text)
    if name.endswith(".gz"):
        return gzip.compress(text)
    if name.endswith(".json"):
        return json.dumps([{"date": "2024-07-01", "condition": "available", "last_modified_date": None}]).encode()
    return text


def changed(data: bytes, random: np.random.Generator) -> bytes:
    """The content with a few of the things done to it that happen to files, or that somebody does."""
    hostile = (
        b"\0", b"nan", b"1e400", b"-1", b"9223372036854775807", b"now", b"2024", b"True", b'"', b"\r\n", b"\xff", b",",
        b"9999-12-31", b"2024-07-01T00:00:00.000000001Z", b"DBN\x03", b"[" * 5000, b"A" * 5000,
    )  # fmt: skip
    for _ in range(random.integers(0, 4)):
        at = int(random.integers(0, len(data) + 1))
        match random.integers(0, 6):
            case 0:
                data = data[:at]
            case 1:
                data = data[:at] + bytes(random.integers(0, 256, 4, np.uint8)) + data[at + 4 :]
            case 2:
                data = data[:at] + hostile[random.integers(len(hostile))] + data[at:]
            case 3:
                data = data + data
            case 4:
                data = data.replace(b",", b";") if random.random() < 0.3 else data[at:] + data[:at]
            case _:
                lines = data.split(b"\n")
                cell = lines[random.integers(len(lines))]
                data = data.replace(cell, hostile[random.integers(len(hostile))], 1) if cell else data
    return data


def archived(members: dict[str, bytes], random: np.random.Generator) -> bytes:
    sink = io.BytesIO()
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    with zipfile.ZipFile(sink, "w", methods[random.integers(4)]) as archive:
        for name, data in members.items():
            archive.writestr(os.fsencode(name).decode("latin-1"), data)
    return sink.getvalue()


def hostile_delivery(directory: Path, random: np.random.Generator) -> Path:
    """A directory of one to three files, sound or not."""
    directory.mkdir()
    scratch = directory.parent / "made"
    scratch.mkdir(exist_ok=True)
    for _ in range(random.integers(1, 4)):
        name = NAMES[random.integers(len(NAMES))]
        if name == "job.zip":
            inner = {n: changed(sound(n, scratch, random), random) for n in random.choice(NAMES[:10], 3)}
            data = archived(inner, random)
            for _ in range(random.integers(0, 6)):
                data = archived({"job.zip": data}, random)
        else:
            data = sound(name, scratch, random)
        (directory / name).write_bytes(changed(data, random) or b"x")
    match random.integers(0, 12):
        case 0:
            os.mkfifo(directory / "pipe.ohlcv-1h.csv")
        case 1:
            (directory / "link.dbn").symlink_to("/nowhere")
        case 2:
            (directory / "zero.macro.csv").symlink_to("/dev/zero")
        case 3:
            (directory / "bomb.ohlcv-1h.csv.zst").write_bytes(zstandard.compress(b"0" * 2**22))
        case 4:
            (directory / "loop").symlink_to(directory)
    return directory


def require_named(error: Exception, number: int) -> None:
    for one in error.exceptions if isinstance(error, ExceptionGroup) else [error]:
        assert isinstance(one, (DeliveryError, DatasetMismatchError)), number
        assert str(one).isprintable(), number
        assert len(str(one)) < 2500, number
        assert "reading it failed" not in str(one), (number, str(one))  # every kind of damage has a name


def stand(world: World, deliveries: int, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Land hostile deliveries one after the other; how many landed something, and how many were refused."""
    monkeypatch.setattr("cbi_dagster.vendors.compression.MAX_DECODED_BYTES", 2**21)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    world.warehouse.ensure(TABLES.values())
    landing = Home(world.path).open().ready().landing
    landed = refused = 0
    for number in range(deliveries):
        random = np.random.default_rng([seed, number])
        delivery = hostile_delivery(tmp_path / "delivery", random)
        began = time.process_time()
        try:
            report = landing.land([delivery])
        except (DeliveryError, DatasetMismatchError, ExceptionGroup) as error:
            require_named(error, number)
            refused += 1
        else:
            new = report.files[report.files["outcome"] == "landed"]
            known = new["kept_rows"] + new["rejected_rows"] + new["outside_rows"]
            assert (new["file_rows"] == known).all(), number
            assert len(report.rejected) == new["rejected_rows"].sum(), number
            landed += len(new) > 0
        assert time.process_time() - began < SECONDS, number
        assert not list(temporary.iterdir()), number
        shutil.rmtree(delivery)
    hashes = set(world.warehouse.read(TABLES["ops.landed_files"], columns=["file_hash"])["file_hash"].to_pylist())
    kept = [path for path in (world.path / "landing").rglob("*") if path.is_file()]
    assert {path.name[:64] for path in kept} == hashes
    return landed, refused


def test_hostile_files_land_or_are_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    landed, refused = stand(World(tmp_path / "home"), 40, 1, tmp_path, monkeypatch)
    assert landed > 2
    assert refused > 10


@pytest.mark.slow
def test_a_thousand_hostile_deliveries_land_or_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed, refused = stand(World(tmp_path / "home"), 1000, 2, tmp_path, monkeypatch)
    assert landed > 50
    assert refused > 300
