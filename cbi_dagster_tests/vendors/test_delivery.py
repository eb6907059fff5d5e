"""A delivery is taken whole and true, or refused by a named error."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import stat
import time
import zipfile
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import databento
import databento_dbn
import numpy as np
import pandas as pd
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cbi_dagster.vendors.databento import delivery
from cbi_dagster.vendors.databento.delivery import (
    BARS_COLUMNS,
    PRICES,
    CorruptFileError,
    DeliveredFile,
    DeliveryError,
    HashMismatchError,
    HeaderMismatchError,
    LayoutError,
    TruncatedFileError,
    UnreadableFileError,
    UnresolvedSymbolsError,
    UnsupportedSchemaError,
    VerifiedFile,
    open_delivery,
    verify,
)
from cbi_dagster.vendors.simulate import write_manifest
from cbi_dagster_tests.vendors.small_files import (
    END,
    FIXTURES,
    REAL_DELIVERY,
    START,
    ZL_ROLL,
    hourly,
    mapping_of,
    zl_bars,
    zl_file,
)


def verified(path: Path) -> VerifiedFile:
    with open_delivery(path) as opened:
        (file,) = opened.files
        return verify(file)


@pytest.fixture
def zst(tmp_path: Path) -> Path:
    return zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst")


# -- what a sound file says -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["zl.ohlcv-1h.dbn.zst", "zl.ohlcv-1h.dbn"])
def test_a_file_states_its_period_its_bars_and_the_contracts_behind_its_symbols(tmp_path: Path, name: str) -> None:
    path = zl_file(tmp_path / name)
    file = verified(path)
    written = zl_bars()
    assert (file.name, file.size, file.path) == (name, path.stat().st_size, path)
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (file.dataset, file.schema, file.stype_in, file.symbols) == (
        "GLBX.MDP3", "ohlcv-1h", "continuous", ("ZL.v.0",),
    )  # fmt: skip
    assert (file.start, file.end) == (START, END)
    pd.testing.assert_frame_equal(file.mapping, ZL_ROLL, check_dtype=True)
    assert tuple(file.bars.columns) == BARS_COLUMNS
    assert file.bars["source_row"].tolist() == list(range(len(written)))
    assert file.bars["symbol"].astype(str).unique().tolist() == ["ZL.v.0"]
    columns = [name for name in BARS_COLUMNS if name not in ("symbol", "source_row")]
    pd.testing.assert_frame_equal(file.bars[columns], written[columns], check_exact=True)


def test_bars_agree_with_the_vendors_own_reader(zst: Path) -> None:
    ours = verified(zst).bars
    theirs = databento.DBNStore.from_file(zst).to_df().reset_index()
    assert (ours["ts_event"] == theirs["ts_event"]).all()
    assert (ours["symbol"].astype(str) == theirs["symbol"]).all()
    for name in (*PRICES, "volume", "instrument_id"):
        assert (ours[name].to_numpy() == theirs[name].to_numpy()).all()


@given(fixed=st.integers(-(2**52), 2**52))
def test_a_price_is_the_double_nearest_to_its_decimal(fixed: int) -> None:
    (price,) = delivery._price(np.array([fixed], dtype=np.int64))
    assert price == float(Decimal(fixed) / Decimal(10**9))


def test_an_undefined_price_is_nan(tmp_path: Path) -> None:
    bars = zl_bars()
    bars.loc[3, "close"] = np.nan
    close = verified(zl_file(tmp_path / "zl.dbn", bars)).bars["close"]
    assert np.flatnonzero(close.isna()).tolist() == [3]


def test_a_file_without_rows_covers_its_period(tmp_path: Path) -> None:
    file = verified(zl_file(tmp_path / "zl.dbn.zst", zl_bars().iloc[:0]))
    assert len(file.bars) == 0
    assert tuple(file.bars.columns) == BARS_COLUMNS
    assert (file.start, file.end, file.symbols) == (START, END, ("ZL.v.0",))


def test_a_record_belongs_to_every_symbol_that_stood_for_its_contract_that_day(tmp_path: Path) -> None:
    # ZL.c.0 rolls a day after ZL.v.0: on 3 July they are two contracts, on the other days one.
    mapping = pd.concat(
        [ZL_ROLL, mapping_of(("ZL.c.0", "2024-07-01", "2024-07-04", 11), ("ZL.c.0", "2024-07-04", "2024-07-06", 22))]
    )
    bars = pd.concat([zl_bars(), hourly("2024-07-03", 24)]).sort_values(
        ["ts_event", "instrument_id"], ignore_index=True
    )
    got = verified(zl_file(tmp_path / "zl.dbn", bars, mapping)).bars
    expected = [
        (row, symbol)
        for row, bar in enumerate(bars.itertuples())
        for symbol in ("ZL.c.0", "ZL.v.0")
        for stated in mapping[mapping["symbol"] == symbol].itertuples()
        if stated.instrument_id == bar.instrument_id
        and stated.start_date <= bar.ts_event.tz_convert(None) < stated.end_date
    ]
    assert list(zip(got["source_row"], got["symbol"].astype(str), strict=True)) == expected
    assert len(expected) == 2 * 84
    assert (got["close"].to_numpy() == bars["close"].to_numpy()[got["source_row"]]).all()


def test_a_parent_delivery_names_contracts_and_spreads_by_their_raw_symbols(tmp_path: Path) -> None:
    mapping = mapping_of(("ZLN4", "2024-07-01", "2024-07-06", 11), ("ZLN4-ZLQ4", "2024-07-01", "2024-07-06", 12))
    bars = pd.concat([hourly("2024-07-01", 5), hourly("2024-07-01", 5, 12, -0.3)], ignore_index=True)
    path = zl_file(tmp_path / "zl.dbn", bars, mapping, stype_in="parent", symbols=["ZL.FUT"])
    file = verified(path)
    assert (file.stype_in, file.symbols) == ("parent", ("ZLN4", "ZLN4-ZLQ4"))
    assert file.bars["symbol"].astype(str).tolist() == ["ZLN4"] * 5 + ["ZLN4-ZLQ4"] * 5


def test_a_file_that_stopped_at_a_record_limit_covers_no_more_than_its_records(tmp_path: Path) -> None:
    path = zl_file(tmp_path / "zl.dbn")
    _restate(path, limit=84)
    assert verified(path).end == pd.Timestamp("2024-07-04 12:00", tz="UTC")


def _restate(path: Path, **changes: object) -> None:
    """Rewrite the header of an uncompressed DBN file."""
    content = path.read_bytes()
    length = 8 + int.from_bytes(content[4:8], "little")
    header = databento_dbn.Metadata.decode(content[:length])
    stated = {
        "dataset": header.dataset, "start": header.start, "end": header.end, "stype_in": header.stype_in,
        "stype_out": header.stype_out, "schema": header.schema, "symbols": header.symbols, "mappings": [],
    }  # fmt: skip
    mappings = [
        _symbol_mapping(symbol, [(i["start_date"], i["end_date"], i["symbol"]) for i in intervals])
        for symbol, intervals in header.mappings.items()
    ]
    path.write_bytes(
        databento_dbn.Metadata(**{**stated, "mappings": mappings, **changes}).encode() + content[length:]  # type: ignore[arg-type]
    )


def _symbol_mapping(symbol: str, intervals: list[tuple[object, object, str]]) -> object:
    return SimpleNamespace(
        raw_symbol=symbol,
        intervals=[SimpleNamespace(start_date=a, end_date=b, symbol=c) for a, b, c in intervals],
    )


# -- what is refused --------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True))
def test_a_compressed_file_that_was_cut_is_refused(zst: Path, position: float) -> None:
    content = zst.read_bytes()
    cut = zst.with_name("cut.dbn.zst")
    cut.write_bytes(content[: int(position * len(content))])
    with pytest.raises((TruncatedFileError, CorruptFileError)):
        verified(cut)


def test_a_file_of_several_frames_that_was_cut_inside_the_last_one_is_refused(tmp_path: Path) -> None:
    # The vendor compresses in frames of about a thousand records, and its own reader takes an unfinished frame for
    # the end of the file.
    plain = zl_file(tmp_path / "zl.dbn").read_bytes()
    frames = [zstandard.ZstdCompressor(write_checksum=True).compress(part) for part in (plain[:2000], plain[2000:])]
    whole = tmp_path / "two.dbn.zst"
    whole.write_bytes(b"".join(frames))
    assert len(verified(whole).bars) == 84
    for missing in (1, 4, 5, len(frames[1]) // 2, len(frames[1]) - 1):
        whole.write_bytes(b"".join(frames)[:-missing])
        with pytest.raises(TruncatedFileError, match="incomplete"):
            verified(whole)


@pytest.mark.parametrize("lost", [1, 28, 55, 57, 56 * 84, 56 * 84 + 30])
def test_an_uncompressed_file_that_was_cut_is_refused(tmp_path: Path, lost: int) -> None:
    path = zl_file(tmp_path / "zl.dbn")
    content = path.read_bytes()
    path.write_bytes(content[:-lost])
    if lost % 56:
        with pytest.raises((TruncatedFileError, CorruptFileError)):
            verified(path)
    else:
        assert len(verified(path).bars) == 0  # a cut between two records is invisible: the manifest is there for it


def test_a_cut_between_records_is_refused_where_a_manifest_is_present(tmp_path: Path) -> None:
    path = zl_file(tmp_path / "zl.dbn")
    write_manifest(tmp_path, [path])
    path.write_bytes(path.read_bytes()[:-56])
    with pytest.raises(TruncatedFileError, match="bytes are there"):
        verified(tmp_path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    for name in ("zl.dbn", "zl.dbn.zst", "zl.ohlcv-1h.csv", "zl.ohlcv-1h.parquet"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(TruncatedFileError, match="0 bytes"):
            verified(tmp_path / name)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_in_a_compressed_file_never_changes_a_bar(zst: Path, position: float, bit: int) -> None:
    content = bytearray(zst.read_bytes())
    content[int(position * len(content))] ^= 1 << bit
    damaged = zst.with_name("damaged.dbn.zst")
    damaged.write_bytes(content)
    try:
        bars = verified(damaged).bars
    except DeliveryError:
        return
    pd.testing.assert_frame_equal(bars, verified(zst).bars)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), in_header=st.booleans(), bit=st.integers(0, 7))
def test_a_flipped_bit_in_an_uncompressed_file_is_a_named_error_or_the_manifests_business(
    tmp_path: Path, position: float, in_header: bool, bit: int
) -> None:
    path = tmp_path / "zl.dbn"
    content = bytearray(zl_file(path).read_bytes())
    digest = hashlib.sha256(content).hexdigest()
    header = 8 + int.from_bytes(content[4:8], "little")
    content[int(position * (header if in_header else len(content)))] ^= 1 << bit
    path.write_bytes(content)
    with pytest.raises(HashMismatchError, match="sha256"):
        verify(DeliveredFile(path, path.name, digest, len(content)))
    with contextlib.suppress(DeliveryError):  # without a manifest: an error, or a whole frame, never anything else
        assert tuple(verify(DeliveredFile(path, path.name)).bars.columns) == BARS_COLUMNS


def test_every_flipped_bit_of_a_header_is_a_named_error_or_a_readable_header(tmp_path: Path) -> None:
    path = tmp_path / "zl.dbn"
    content = zl_file(path, zl_bars().iloc[:1]).read_bytes()
    refused = 0
    for position in range(len(content) - 56):
        for bit in range(position % 3, 8, 3):
            damaged = bytearray(content)
            damaged[position] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                verified(path)
            except DeliveryError:
                refused += 1
    assert refused > 500


def test_records_that_contradict_the_header_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "zl.dbn"
    with pytest.raises(HeaderMismatchError, match="outside the header's period"):
        verified(zl_file(path, end=pd.Timestamp("2024-07-04", tz="UTC")))
    with pytest.raises(HeaderMismatchError, match="outside the header's period"):
        verified(zl_file(path, start=pd.Timestamp("2024-07-01 01:00", tz="UTC")))
    with pytest.raises(HeaderMismatchError, match="instrument 22, which the header maps to no symbol on 2024-07-03"):
        verified(zl_file(path, mappings=ZL_ROLL.iloc[:1]))
    with pytest.raises(HeaderMismatchError, match="states the period"):
        verified(zl_file(path, zl_bars().iloc[:0], start=END, end=START))
    content = bytearray(zl_file(path).read_bytes())
    content[-56 + 1] = 0x21  # the last record claims to be a minute bar
    path.write_bytes(content)
    with pytest.raises(HeaderMismatchError, match="record 83 is no ohlcv-1h record"):
        verified(path)


@pytest.mark.parametrize("schema", ["ohlcv-1s", "statistics", "definition", "trades"])
def test_other_schemas_are_refused(tmp_path: Path, schema: str) -> None:
    with pytest.raises(UnsupportedSchemaError, match=f"its schema is {schema}"):
        verified(zl_file(tmp_path / "zl.dbn", schema=schema))


def test_instrument_ids_as_symbols_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedSchemaError, match="instrument_id"):
        verified(zl_file(tmp_path / "zl.dbn", stype_in="instrument_id"))


@pytest.mark.parametrize("kind", ["not_found", "partial"])
def test_symbols_that_the_vendor_could_not_resolve_are_refused(tmp_path: Path, kind: str) -> None:
    path = zl_file(tmp_path / "zl.dbn")
    _restate(path, **{kind: ["XYZ.v.0"]})
    with pytest.raises(UnresolvedSymbolsError, match=r"XYZ\.v\.0"):
        verified(path)


def test_an_error_says_which_file_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "zl.dbn"
    path.write_bytes(b"no such format")
    with pytest.raises(CorruptFileError) as caught:
        verified(path)
    assert str(caught.value).startswith(f"{path}: its header cannot be decoded")
    assert str(caught.value).endswith("Download or copy the file again and land it once more.")


# -- directories and archives -----------------------------------------------------------------------------------------


def batch(directory: Path) -> list[Path]:
    directory.mkdir(parents=True, exist_ok=True)
    files = [
        zl_file(directory / f"glbx-mdp3-{day}.ohlcv-1h.dbn.zst", hourly(f"2024-07-{day}", 24), start=begin, end=end)
        for day, begin, end in (
            ("01", START, pd.Timestamp("2024-07-02", tz="UTC")),
            ("02", pd.Timestamp("2024-07-02", tz="UTC"), pd.Timestamp("2024-07-03", tz="UTC")),
        )
    ]
    write_manifest(directory, files)
    for name in ("metadata.json", "symbology.json", "condition.json"):
        (directory / name).write_text("{}")
    return files


def test_a_directory_is_searched_for_data_files_and_the_rest_is_named(tmp_path: Path) -> None:
    files = batch(tmp_path / "GLBX-1")
    (tmp_path / "notes.txt").write_text("?")
    (tmp_path / "GLBX-1" / "prices.csv").write_text("a,b\n")
    with open_delivery(tmp_path) as opened:
        assert [file.path for file in opened.files] == files
        assert [file.sha256 for file in opened.files] == [hashlib.sha256(f.read_bytes()).hexdigest() for f in files]
        assert opened.ignored == ("GLBX-1/prices.csv", "notes.txt")
        assert [len(verify(file).bars) for file in opened.files] == [24, 24]


def test_a_file_that_is_not_what_the_manifest_promises_is_refused(tmp_path: Path) -> None:
    first, second = batch(tmp_path)
    second.write_bytes(first.read_bytes())
    with open_delivery(tmp_path) as opened, pytest.raises((HashMismatchError, TruncatedFileError)):
        [verify(file) for file in opened.files]
    with pytest.raises((HashMismatchError, TruncatedFileError)):
        verified(second)  # given alone it is still held against the manifest beside it


def test_a_file_that_only_the_manifest_knows_is_missed(tmp_path: Path) -> None:
    batch(tmp_path)[1].unlink()
    with open_delivery(tmp_path) as opened, pytest.raises(UnreadableFileError, match="lists this file, but it is not"):
        [verify(file) for file in opened.files]


@pytest.mark.parametrize("text", ["{", "[]", '{"files": [{"filename": "../x.dbn", "size": 1, "hash": "sha256:0"}]}'])
def test_a_manifest_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    zl_file(tmp_path / "zl.dbn")
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UnreadableFileError, match="manifest"), open_delivery(tmp_path):
        pass


def test_a_single_path_that_is_no_data_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("?")
    for name in ("notes.txt", "absent.dbn"):
        with pytest.raises(UnreadableFileError, match=name), open_delivery(tmp_path / name):
            pass


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_batch_zip_is_read_like_the_directory_it_was_made_of(tmp_path: Path) -> None:
    files = batch(tmp_path / "job")
    members = {f"GLBX-1/{path.name}": path.read_bytes() for path in sorted((tmp_path / "job").iterdir())}
    for path in (zipped(tmp_path / "job.zip", members), zipped_directory(tmp_path / "zips", members)):
        with open_delivery(path) as opened:
            assert [file.name for file in opened.files] == [file.name for file in files]
            assert all(file.sha256 for file in opened.files)
            results = [verify(file) for file in opened.files]
            unpacked = opened.files[0].path
        assert sum(len(result.bars) for result in results) == 48
        assert not unpacked.exists()


def zipped_directory(directory: Path, members: dict[str, bytes]) -> Path:
    directory.mkdir()
    return zipped(directory / "job.zip", members).parent


@pytest.mark.parametrize("name", ["../evil.dbn", "/evil.dbn", "a/../../evil.dbn", "..\\evil.dbn", "C:/evil.dbn"])
def test_an_archive_cannot_write_outside_its_directory(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / "job.zip", {name: b"x"})
    with pytest.raises(UnreadableFileError, match="outside"), open_delivery(path):
        pass
    assert [file.name for file in tmp_path.rglob("*")] == ["job.zip"]


def test_an_archive_cannot_hold_links(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("zl.dbn")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "job.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UnreadableFileError, match="outside"), open_delivery(tmp_path / "job.zip"):
        pass


def test_an_archive_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "job.zip", {"zl.dbn": b"0" * 5000})
    monkeypatch.setattr(delivery, "MAX_ZIP_BYTES", 4999)
    with pytest.raises(UnreadableFileError, match="more than"), open_delivery(path):
        pass


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    batch(tmp_path / "job")
    members = {path.name: path.read_bytes() for path in sorted((tmp_path / "job").iterdir())}
    path = zipped(tmp_path / "job.zip", members)
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"", content[:200] + b"\0\0\0\0" + content[204:]):
        path.write_bytes(damaged)
        with pytest.raises(UnreadableFileError, match="cannot be unpacked"), open_delivery(path):
            pass


# -- CSV and Parquet --------------------------------------------------------------------------------------------------


def table() -> pd.DataFrame:
    return zl_bars().assign(symbol="ZL.v.0")


def test_the_same_bars_are_the_same_frame_in_every_format(tmp_path: Path) -> None:
    expected = verified(zl_file(tmp_path / "zl.dbn.zst"))
    table().to_csv(tmp_path / "zl.ohlcv-1h.csv", index=False)
    table().to_parquet(tmp_path / "zl.ohlcv-1h.parquet")
    table().assign(ts_event=lambda f: f["ts_event"].dt.tz_convert(None).astype("datetime64[us]")).to_parquet(
        tmp_path / "naive.ohlcv-1h.parquet"
    )
    for name in ("zl.ohlcv-1h.csv", "zl.ohlcv-1h.parquet", "naive.ohlcv-1h.parquet"):
        file = verified(tmp_path / name)
        pd.testing.assert_frame_equal(file.bars, expected.bars, check_exact=True)
        assert (file.dataset, file.schema, file.stype_in) == ("GLBX.MDP3", "ohlcv-1h", "continuous")
        assert (file.start, file.end) == (START, pd.Timestamp("2024-07-04 12:00", tz="UTC"))
        observed = mapping_of(("ZL.v.0", "2024-07-01", "2024-07-03", 11), ("ZL.v.0", "2024-07-03", "2024-07-05", 22))
        pd.testing.assert_frame_equal(file.mapping, observed)


def test_the_vendors_own_parquet_is_read(tmp_path: Path, zst: Path) -> None:
    databento.DBNStore.from_file(zst).to_parquet(tmp_path / "zl.ohlcv-1h.parquet")
    pd.testing.assert_frame_equal(verified(tmp_path / "zl.ohlcv-1h.parquet").bars, verified(zst).bars, check_exact=True)


def test_a_single_contract_needs_no_instrument_id(tmp_path: Path) -> None:
    bars = hourly("2024-07-01", 3).drop(columns=["instrument_id", "publisher_id"]).assign(symbol="ZLN4", dataset="X.Y")
    bars.to_csv(tmp_path / "zl.ohlcv-1h.csv", index=False)
    file = verified(tmp_path / "zl.ohlcv-1h.csv")
    assert (file.stype_in, file.dataset) == ("raw_symbol", "X.Y")
    assert file.bars["instrument_id"].nunique() == 1
    assert (file.bars["instrument_id"] < 0).all()
    assert file.bars["publisher_id"].isna().all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop(columns=["volume", "low"]), "columns low, volume are missing"),
        (lambda f: f.drop(columns="instrument_id"), r"contracts behind ZL\.v\.0 are unknown"),
        (lambda f: f.iloc[:0], "no rows"),
        (lambda f: f.assign(ts_event=f["ts_event"].astype("int64")), "ts_event"),
        (lambda f: f.assign(ts_event="yesterday"), "ts_event"),
        (lambda f: f.assign(open=f["open"].astype(str).where(f.index != 4, "4x")), "open of data row 4 is no number"),
        (lambda f: f.assign(volume=f["volume"] + 0.5), "volume of data row 0 is no whole number"),
        (lambda f: f.assign(symbol=""), "symbol of data row 0 is no text"),
        (lambda f: f.assign(dataset=np.where(f.index < 3, "A", "B")), "datasets A, B"),
        (lambda f: f.assign(instrument_id=np.arange(len(f))), "two instrument_ids on 2024-07-01"),
    ],
)
def test_a_table_of_another_layout_is_refused(tmp_path: Path, change: object, said: str) -> None:
    assert callable(change)
    change(table()).to_csv(tmp_path / "zl.ohlcv-1h.csv", index=False)
    with pytest.raises(LayoutError, match=said):
        verified(tmp_path / "zl.ohlcv-1h.csv")


def test_a_table_must_name_its_schema(tmp_path: Path) -> None:
    table().to_csv(tmp_path / "zl.csv", index=False)
    with pytest.raises(LayoutError, match="does not say its schema"):
        verified(tmp_path / "zl.csv")


def test_tables_that_were_cut_are_refused(tmp_path: Path) -> None:
    csv, parquet = tmp_path / "zl.ohlcv-1h.csv", tmp_path / "zl.ohlcv-1h.parquet"
    table().to_csv(csv, index=False)
    csv.write_bytes(csv.read_bytes()[:-3])
    with pytest.raises(TruncatedFileError, match="line end"):
        verified(csv)
    buffer = io.BytesIO()
    table().to_parquet(buffer)
    parquet.write_bytes(buffer.getvalue()[:-100])
    with pytest.raises(CorruptFileError):
        verified(parquet)


# -- the vendor's files, where they are present -----------------------------------------------------------------------


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="the vendor's fixture files are not here")
def test_the_vendors_fixtures_of_every_format_version_are_read_or_refused_by_schema() -> None:
    rows, refused = {}, set()
    with open_delivery(FIXTURES) as opened:
        for file in opened.files:
            try:
                rows[f"{file.path.parent.name}/{file.name}"] = len(verify(file).bars)
            except UnsupportedSchemaError:
                refused.add(file.name.split(".")[1])
    for version in ("v1", "v2", "v3"):
        assert rows[f"dbn/test_data.ohlcv-1d.{version}.dbn.zst"] == 0
        assert rows[f"dbn/test_data.ohlcv-1h.{version}.dbn.zst"] == 2
        assert rows[f"dbn/test_data.ohlcv-1m.{version}.dbn.zst"] == 2
    assert rows["databento-python/test_data.ohlcv-1h.dbn.zst"] == 4
    assert rows["real_csv/ZL.c.0_ohlcv-1d_excerpt.dbn.zst"] == 36
    assert {"statistics", "definition", "ohlcv-1s"} <= refused


@pytest.mark.skipif(not REAL_DELIVERY.is_dir(), reason="the real delivery is not here")
def test_a_real_delivery_is_read_whole_and_fast() -> None:
    begun = time.perf_counter()
    rows = 0
    previous_end = None
    with open_delivery(REAL_DELIVERY) as opened:
        assert len(opened.files) == 175
        for file in opened.files:
            read = verify(file)
            rows += len(read.bars)
            assert previous_end in (None, read.start)
            previous_end = read.end
    assert rows == 4_607_013
    if not os.environ.get("CI"):
        assert time.perf_counter() - begun < 15  # 1.5 s alone on two cores


@pytest.mark.skipif(not REAL_DELIVERY.is_dir(), reason="the real delivery is not here")
def test_a_real_file_that_was_cut_anywhere_but_between_frames_is_refused(tmp_path: Path) -> None:
    content = next(REAL_DELIVERY.glob("*20100606*")).read_bytes()
    path = tmp_path / "cut.ohlcv-1h.dbn.zst"
    for size in np.random.default_rng(1).integers(0, len(content), 60):
        path.write_bytes(content[:size])
        with pytest.raises((TruncatedFileError, CorruptFileError)):
            verified(path)


def test_a_manifest_lists_what_it_was_written_for(tmp_path: Path) -> None:
    files = batch(tmp_path)
    entries = json.loads((tmp_path / "manifest.json").read_text())["files"]
    assert [(entry["filename"], entry["size"]) for entry in entries] == [(f.name, f.stat().st_size) for f in files]
