"""Bars from CSV and Parquet are those of the vendor's own files, or refused with the row that is wrong."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import databento
import numpy as np
import pandas as pd
import pytest

from cbi_dagster.vendors.databento.bar_tables import observed_mapping, period_named
from cbi_dagster.vendors.files import CorruptFileError, LayoutError, TruncatedFileError
from cbi_dagster_tests.vendors.small_files import START, bar_file, hourly, mapping_of, zl_bars, zl_file


def table() -> pd.DataFrame:
    return zl_bars().assign(symbol="ZL.v.0")


def test_the_same_bars_are_the_same_frame_in_every_format(tmp_path: Path) -> None:
    expected = bar_file(zl_file(tmp_path / "zl.dbn.zst"))
    table().to_csv(tmp_path / "zl.ohlcv-1h.csv", index=False)
    table().to_parquet(tmp_path / "zl.ohlcv-1h.parquet")
    table().assign(ts_event=lambda f: f["ts_event"].dt.tz_convert(None).astype("datetime64[us]")).to_parquet(
        tmp_path / "naive.ohlcv-1h.parquet"
    )
    for name in ("zl.ohlcv-1h.csv", "zl.ohlcv-1h.parquet", "naive.ohlcv-1h.parquet"):
        file = bar_file(tmp_path / name)
        pd.testing.assert_frame_equal(file.bars, expected.bars, check_exact=True)
        assert (file.dataset, file.schema, file.stype_in) == ("GLBX.MDP3", "ohlcv-1h", "continuous")
        assert (file.start, file.end) == (START, pd.Timestamp("2024-07-04 12:00", tz="UTC"))
        assert file.observed
        observed = mapping_of(("ZL.v.0", "2024-07-01", "2024-07-03", 11), ("ZL.v.0", "2024-07-03", "2024-07-05", 22))
        pd.testing.assert_frame_equal(observed_mapping(tmp_path / name, file.bars), observed)


def test_the_vendors_own_parquet_is_read(tmp_path: Path) -> None:
    zst = zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst")
    databento.DBNStore.from_file(zst).to_parquet(tmp_path / "zl.ohlcv-1h.parquet")
    pd.testing.assert_frame_equal(bar_file(tmp_path / "zl.ohlcv-1h.parquet").bars, bar_file(zst).bars, check_exact=True)


def test_a_single_contract_needs_no_instrument_id(tmp_path: Path) -> None:
    bars = hourly("2024-07-01", 3).drop(columns=["instrument_id", "publisher_id"]).assign(symbol="ZLN4", dataset="X.Y")
    bars.to_csv(tmp_path / "zl.ohlcv-1h.csv", index=False)
    file = bar_file(tmp_path / "zl.ohlcv-1h.csv")
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
        (lambda f: f.assign(ts_event=f["ts_event"].where(f.index != 3)), "ts_event of data row 3 has no value"),
        (lambda f: f.assign(open=f["open"].astype(str).where(f.index != 4, "4x")), "open of data row 4 is no number"),
        (lambda f: f.assign(volume=f["volume"] + 0.5), "volume of data row 0 is no whole number"),
        (lambda f: f.assign(symbol=""), "symbol of data row 0 has no value"),
        (lambda f: f.assign(dataset=np.where(f.index < 3, "A", "B")), "datasets A, B"),
    ],
)
def test_a_table_of_another_layout_is_refused(
    tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], said: str
) -> None:
    change(table()).to_csv(tmp_path / "zl.ohlcv-1h.csv", index=False)
    with pytest.raises(LayoutError, match=said):
        bar_file(tmp_path / "zl.ohlcv-1h.csv")


def test_a_symbol_has_one_contract_a_day(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="two instrument_ids on 2024-07-01"):
        observed_mapping(tmp_path, table().assign(instrument_id=np.arange(len(table()))))


@pytest.mark.parametrize(
    ("name", "first", "end"),
    [
        ("glbx-mdp3-20240101-20240131.ohlcv-1h.csv", "2024-01-01", "2024-02-01"),
        ("glbx-mdp3-20240229.ohlcv-1h.ESH4.csv.zst", "2024-02-29", "2024-03-01"),
        ("glbx-mdp3-20240230.ohlcv-1h.csv", None, None),
        ("glbx-mdp3-20240131-20240101.ohlcv-1h.csv", None, None),
        ("zl-20240101.ohlcv-1h.csv", None, None),
    ],
)
def test_a_vendors_file_name_states_utc_days(name: str, first: str | None, end: str | None) -> None:
    expected = first and end and (pd.Timestamp(first, tz="UTC"), pd.Timestamp(end, tz="UTC"))
    assert period_named(name) == expected


def test_a_table_must_name_its_schema(tmp_path: Path) -> None:
    table().to_csv(tmp_path / "zl.csv", index=False)
    with pytest.raises(LayoutError, match="does not say its schema"):
        bar_file(tmp_path / "zl.csv")


def test_tables_that_were_cut_are_refused(tmp_path: Path) -> None:
    csv, parquet = tmp_path / "zl.ohlcv-1h.csv", tmp_path / "zl.ohlcv-1h.parquet"
    table().to_csv(csv, index=False)
    csv.write_bytes(csv.read_bytes()[:-3])
    with pytest.raises(TruncatedFileError, match="line end"):
        bar_file(csv)
    buffer = io.BytesIO()
    table().to_parquet(buffer)
    parquet.write_bytes(buffer.getvalue()[:-100])
    with pytest.raises(CorruptFileError):
        bar_file(parquet)
