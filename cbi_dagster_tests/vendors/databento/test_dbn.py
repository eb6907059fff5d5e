"""A file in the vendor's own format is read whole and true, or refused by a named error."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from pathlib import Path

import databento
import numpy as np
import pandas as pd
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cbi_dagster.vendors.databento import dbn
from cbi_dagster.vendors.databento.bar_files import BARS_COLUMNS, PRICES
from cbi_dagster.vendors.files import (
    CorruptFileError,
    DeliveryError,
    HeaderMismatchError,
    TruncatedFileError,
    UnsupportedSchemaError,
)
from cbi_dagster_tests.vendors.small_files import (
    END,
    FIXTURES,
    REAL_DELIVERY,
    START,
    ZL_ROLL,
    bar_file,
    hourly,
    mapping_of,
    restated_header,
    zl_bars,
    zl_file,
)


@pytest.fixture
def zst(tmp_path: Path) -> Path:
    return zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst")


# -- what a sound file says -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["zl.ohlcv-1h.dbn.zst", "zl.ohlcv-1h.dbn"])
def test_a_file_states_its_period_its_bars_and_the_contracts_behind_its_symbols(tmp_path: Path, name: str) -> None:
    file = bar_file(zl_file(tmp_path / name))
    written = zl_bars()
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
    ours = bar_file(zst).bars
    theirs = databento.DBNStore.from_file(zst).to_df().reset_index()
    assert (ours["ts_event"] == theirs["ts_event"]).all()
    assert (ours["symbol"].astype(str) == theirs["symbol"]).all()
    for name in (*PRICES, "volume", "instrument_id"):
        assert (ours[name].to_numpy() == theirs[name].to_numpy()).all()


@given(fixed=st.integers(-(2**52), 2**52))
def test_a_price_is_the_double_nearest_to_its_decimal(fixed: int) -> None:
    (price,) = dbn.price_of(np.array([fixed], dtype=np.int64))
    assert price == float(Decimal(fixed) / Decimal(10**9))


def test_an_undefined_price_is_nan(tmp_path: Path) -> None:
    bars = zl_bars()
    bars.loc[3, "close"] = np.nan
    close = bar_file(zl_file(tmp_path / "zl.dbn", bars)).bars["close"]
    assert np.flatnonzero(close.isna()).tolist() == [3]


def test_a_file_without_rows_covers_its_period(tmp_path: Path) -> None:
    file = bar_file(zl_file(tmp_path / "zl.dbn.zst", zl_bars().iloc[:0]))
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
    got = bar_file(zl_file(tmp_path / "zl.dbn", bars, mapping)).bars
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
    file = bar_file(path)
    assert (file.stype_in, file.symbols) == ("parent", ("ZLN4", "ZLN4-ZLQ4"))
    assert file.bars["symbol"].astype(str).tolist() == ["ZLN4"] * 5 + ["ZLN4-ZLQ4"] * 5


def test_a_file_that_stopped_at_a_record_limit_covers_no_more_than_its_records(tmp_path: Path) -> None:
    path = zl_file(tmp_path / "zl.dbn")
    restated_header(path, limit=84)
    assert bar_file(path).end == pd.Timestamp("2024-07-04 12:00", tz="UTC")


# -- what is refused --------------------------------------------------------------------------------------------------


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True))
def test_a_compressed_file_that_was_cut_is_refused(zst: Path, position: float) -> None:
    content = zst.read_bytes()
    cut = zst.with_name("cut.dbn.zst")
    cut.write_bytes(content[: int(position * len(content))])
    with pytest.raises((TruncatedFileError, CorruptFileError)):
        bar_file(cut)


def test_a_file_of_several_frames_that_was_cut_inside_the_last_one_is_refused(tmp_path: Path) -> None:
    # The vendor compresses in frames of about a thousand records, and its own reader takes an unfinished frame for
    # the end of the file.
    plain = zl_file(tmp_path / "zl.dbn").read_bytes()
    frames = [zstandard.ZstdCompressor(write_checksum=True).compress(part) for part in (plain[:2000], plain[2000:])]
    whole = tmp_path / "two.dbn.zst"
    whole.write_bytes(b"".join(frames))
    assert len(bar_file(whole).bars) == 84
    for missing in (1, 4, 5, len(frames[1]) // 2, len(frames[1]) - 1):
        whole.write_bytes(b"".join(frames)[:-missing])
        with pytest.raises(TruncatedFileError, match="incomplete"):
            bar_file(whole)


@pytest.mark.parametrize("lost", [1, 28, 55, 57, 56 * 84, 56 * 84 + 30])
def test_an_uncompressed_file_that_was_cut_is_refused(tmp_path: Path, lost: int) -> None:
    path = zl_file(tmp_path / "zl.dbn")
    content = path.read_bytes()
    path.write_bytes(content[:-lost])
    if lost % 56:
        with pytest.raises((TruncatedFileError, CorruptFileError)):
            bar_file(path)
    else:
        assert len(bar_file(path).bars) == 0  # a cut between two records is invisible: the manifest is there for it


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_in_a_compressed_file_never_changes_a_bar(zst: Path, position: float, bit: int) -> None:
    content = bytearray(zst.read_bytes())
    content[int(position * len(content))] ^= 1 << bit
    damaged = zst.with_name("damaged.dbn.zst")
    damaged.write_bytes(content)
    try:
        bars = bar_file(damaged).bars
    except DeliveryError:
        return
    pd.testing.assert_frame_equal(bars, bar_file(zst).bars)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), in_header=st.booleans(), bit=st.integers(0, 7))
def test_a_flipped_bit_in_an_uncompressed_file_is_a_named_error_or_a_whole_frame(
    tmp_path: Path, position: float, in_header: bool, bit: int
) -> None:
    path = tmp_path / "zl.dbn"
    content = bytearray(zl_file(path).read_bytes())
    header = 8 + int.from_bytes(content[4:8], "little")
    content[int(position * (header if in_header else len(content)))] ^= 1 << bit
    path.write_bytes(content)
    with contextlib.suppress(DeliveryError):  # what is left is the business of the manifest
        assert tuple(bar_file(path).bars.columns) == BARS_COLUMNS


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
                bar_file(path)
            except DeliveryError:
                refused += 1
    assert refused > 500


def test_records_that_contradict_the_header_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "zl.dbn"
    with pytest.raises(HeaderMismatchError, match="outside the header's period"):
        bar_file(zl_file(path, end=pd.Timestamp("2024-07-04", tz="UTC")))
    with pytest.raises(HeaderMismatchError, match="outside the header's period"):
        bar_file(zl_file(path, start=pd.Timestamp("2024-07-01 01:00", tz="UTC")))
    with pytest.raises(HeaderMismatchError, match="instrument 22, which the header maps to no symbol on 2024-07-03"):
        bar_file(zl_file(path, mappings=ZL_ROLL.iloc[:1]))
    backwards = ZL_ROLL.assign(end_date=ZL_ROLL["start_date"] - pd.Timedelta(days=1))
    with pytest.raises(HeaderMismatchError, match=r"maps ZL\.v\.0 in a way that makes no sense"):
        bar_file(zl_file(path, mappings=backwards))
    with pytest.raises(HeaderMismatchError, match="states the period"):
        bar_file(zl_file(path, zl_bars().iloc[:0], start=END, end=START))
    content = bytearray(zl_file(path).read_bytes())
    content[-56 + 1] = 0x21  # the last record claims to be a minute bar
    path.write_bytes(content)
    with pytest.raises(HeaderMismatchError, match="record 83 is no ohlcv-1h record"):
        bar_file(path)


@pytest.mark.parametrize("schema", ["ohlcv-1s", "statistics", "definition", "trades"])
def test_other_schemas_are_refused(tmp_path: Path, schema: str) -> None:
    with pytest.raises(UnsupportedSchemaError, match=f"its schema is {schema}"):
        bar_file(zl_file(tmp_path / "zl.dbn", schema=schema))


def test_instrument_ids_as_symbols_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedSchemaError, match="instrument_id"):
        bar_file(zl_file(tmp_path / "zl.dbn", stype_in="instrument_id"))


def test_symbols_that_the_vendor_does_not_know_are_told_and_partial_ones_are_known(tmp_path: Path) -> None:
    path = restated_header(zl_file(tmp_path / "zl.dbn"), not_found=["XYZ.v.0"], partial=["ZL.v.0"])
    assert bar_file(path).not_found == ("XYZ.v.0",)


def test_an_error_says_which_file_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "zl.dbn"
    path.write_bytes(b"no such format")
    with pytest.raises(CorruptFileError) as caught:
        bar_file(path)
    assert str(caught.value).startswith(f"{path}: its header cannot be decoded")
    assert str(caught.value).endswith("Download or copy the file again and land it once more.")


# -- the vendor's files, where they are present -----------------------------------------------------------------------


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="the vendor's fixture files are not here")
def test_the_vendors_fixtures_of_every_format_version_are_read_or_refused_by_schema() -> None:
    rows, refused = {}, set()
    for path in FIXTURES.rglob("*.dbn*"):
        try:
            rows[f"{path.parent.name}/{path.name}"] = len(bar_file(path).bars)
        except UnsupportedSchemaError:
            refused.add(path.name.split(".")[1])
    for version in ("v1", "v2", "v3"):
        assert rows[f"dbn/test_data.ohlcv-1d.{version}.dbn.zst"] == 0
        assert rows[f"dbn/test_data.ohlcv-1h.{version}.dbn.zst"] == 2
        assert rows[f"dbn/test_data.ohlcv-1m.{version}.dbn.zst"] == 2
    assert rows["databento-python/test_data.ohlcv-1h.dbn.zst"] == 4
    assert rows["real_csv/ZL.c.0_ohlcv-1d_excerpt.dbn.zst"] == 36
    assert {"statistics", "definition", "ohlcv-1s"} <= refused


@pytest.mark.skipif(not REAL_DELIVERY.is_dir(), reason="the real delivery is not here")
def test_a_real_delivery_is_read_whole() -> None:
    rows = 0
    previous_end = None
    paths = sorted(REAL_DELIVERY.glob("*.dbn.zst"))
    assert len(paths) == 175
    for path in paths:
        read = bar_file(path)
        rows += len(read.bars)
        assert previous_end in (None, read.start)
        previous_end = read.end
    assert rows == 4_607_013


@pytest.mark.skipif(not REAL_DELIVERY.is_dir(), reason="the real delivery is not here")
def test_a_real_file_that_was_cut_anywhere_but_between_frames_is_refused(tmp_path: Path) -> None:
    content = next(REAL_DELIVERY.glob("*20100606*")).read_bytes()
    path = tmp_path / "cut.ohlcv-1h.dbn.zst"
    for size in np.random.default_rng(1).integers(0, len(content), 60):
        path.write_bytes(content[:size])
        with pytest.raises((TruncatedFileError, CorruptFileError)):
            bar_file(path)
