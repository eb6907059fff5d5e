"""Macro series: files, vintages, and what was known when."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbi_dagster.config.universe import load_universe
from cbi_dagster.features.windows import trade_date_ordinals
from cbi_dagster.market.sessions import decision_instants
from cbi_dagster.vendors.databento.delivery import (
    CorruptFileError,
    DeliveryError,
    LayoutError,
    TruncatedFileError,
    UnreadableFileError,
)
from cbi_dagster.vendors.macro import (
    KEY,
    REASONS,
    SERIES_COLUMNS,
    SeriesUnitChangedError,
    UnitConflictError,
    as_of,
    daily_frame,
    merge_macro,
    screen_macro,
    trade_date_available,
    trade_dates_within,
    verify_macro,
)

REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
UNIVERSE = load_universe()
HEADER = "series_id,date,value,available_at,unit,source\n"
ROW = "SB,2024-03-01,21.5,2024-03-01T23:30:00Z,USc/lb,ICE\n"

Write = Callable[[str | bytes], Path]


@pytest.fixture
def csv(tmp_path: Path) -> Write:
    def write(text: str | bytes) -> Path:
        path = tmp_path / "sugar.macro.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def vintages(*rows: tuple[str, str, float, str], unit: str = "percent") -> pd.DataFrame:
    """Screened vintages: (series_id, reference date, value, available_at)."""
    frame = pd.DataFrame(
        {
            "series_id": pd.Series([row[0] for row in rows], dtype=object),
            "reference_date": pd.to_datetime(pd.Series([row[1] for row in rows], dtype=object)).astype(
                "datetime64[ns]"
            ),
            "value": np.array([row[2] for row in rows], dtype=np.float64),
            "available_at": pd.to_datetime(pd.Series([row[3] for row in rows], dtype=object), utc=True).astype(
                "datetime64[ns, UTC]"
            ),
            "unit": pd.Series([unit] * len(rows), dtype=object),
            "series_source": pd.Series(["S"] * len(rows), dtype=object),
            "source_row": np.arange(len(rows)),
        }
    )
    return screen_macro(frame, UNIVERSE).series


def utc(*instants: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(list(instants), tz="UTC")


# -- files ------------------------------------------------------------------------------------------------------------


def test_a_file_gives_its_rows_in_its_order(csv: Write) -> None:
    file = verify_macro(csv(HEADER + ROW + "NA,2024-02-01,0.1,2024-03-12 08:30:00-05:00,percent,BLS\n"))
    assert file.rows["series_id"].tolist() == ["SB", "NA"]
    assert file.rows["reference_date"].tolist() == [pd.Timestamp("2024-03-01"), pd.Timestamp("2024-02-01")]
    assert file.rows["value"].tolist() == [21.5, 0.1]
    assert file.rows["available_at"].tolist() == list(utc("2024-03-01 23:30", "2024-03-12 13:30"))
    assert file.rows["source_row"].tolist() == [0, 1]
    assert (file.name, file.size) == ("sugar.macro.csv", file.path.stat().st_size)
    assert len(file.sha256) == 64


@pytest.mark.parametrize("as_dates", [False, True])
def test_parquet_gives_the_same_rows_as_csv(csv: Write, tmp_path: Path, as_dates: bool) -> None:
    text = verify_macro(csv(HEADER + ROW + ROW.replace("21.5", "")))
    frame = pd.read_csv(text.path, parse_dates=["date", "available_at"])
    if as_dates:
        frame["date"] = frame["date"].dt.date
    frame.to_parquet(tmp_path / "sugar.macro.parquet")
    pd.testing.assert_frame_equal(verify_macro(tmp_path / "sugar.macro.parquet").rows, text.rows, check_exact=True)


def test_an_instant_without_a_zone_is_utc(csv: Write) -> None:
    file = verify_macro(csv(HEADER + ROW.replace("Z,", ",")))
    assert file.rows["available_at"].tolist() == list(utc("2024-03-01 23:30"))


def test_decimals_become_the_nearest_double(csv: Write) -> None:
    texts = ["0.1", "1e-7", "123456.789012345678", "2.2250738585072011e-308", "9007199254740993"]
    file = verify_macro(csv(HEADER + "".join(ROW.replace("21.5", text) for text in texts)))
    assert file.rows["value"].tolist() == [float(text) for text in texts]


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("", TruncatedFileError, "0 bytes"),
        (HEADER + ROW.rstrip(), TruncatedFileError, "no line end"),
        (HEADER, LayoutError, "no rows"),
        (HEADER.replace("unit", "units") + ROW, LayoutError, "the columns unit are missing"),
        (HEADER + ROW.replace("21.5", "high"), LayoutError, "value of data row 0 is no number"),
        (HEADER + ROW.replace("21.5", "2_1"), LayoutError, "value of data row 0 is no number"),
        (HEADER + ROW.replace("21.5", "True"), LayoutError, "value of data row 0 is no number"),
        (HEADER + ROW.replace("2024-03-01,", "March,"), LayoutError, "date: "),
        (HEADER + ROW.replace("2024-03-01,", "2024-03-01T05:00,"), LayoutError, "date of data row 0 has a time of day"),
        (HEADER + ROW.replace("T23:30:00Z", " soon"), LayoutError, "available_at: "),
        (HEADER + ROW + ROW.replace("USc", "USD"), UnitConflictError, "values of SB are in USD/lb, USc/lb"),
        (b"\xff\xfe\n", LayoutError, "cannot be read as CSV"),
    ],
)
def test_a_broken_file_is_a_named_error(
    csv: Write, content: str | bytes, error: type[DeliveryError], message: str
) -> None:
    with pytest.raises(error, match=message) as raised:
        verify_macro(csv(content))
    assert str(raised.value).startswith(str(raised.value.file))


def test_a_broken_parquet_file_is_a_named_error(tmp_path: Path) -> None:
    path = tmp_path / "x.macro.parquet"
    path.write_bytes(b"PAR1 but not really")
    with pytest.raises(CorruptFileError):
        verify_macro(path)
    numbers = pd.DataFrame({"series_id": [7], "date": ["2024-01-01"], "value": [1.0], "available_at": [20240101]})
    numbers.assign(unit="x", source="y").to_parquet(path)
    with pytest.raises(LayoutError, match="series_id of data row 0 is no text"):
        verify_macro(path)
    numbers.assign(series_id="A", unit="x", source="y").to_parquet(path)
    with pytest.raises(LayoutError, match="available_at holds numbers"):
        verify_macro(path)


def test_a_file_must_be_there_and_be_named_for_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError):
        verify_macro(tmp_path / "none.macro.csv")
    (tmp_path / "directory.macro.csv").mkdir()
    with pytest.raises(UnreadableFileError):
        verify_macro(tmp_path / "directory.macro.csv")
    (tmp_path / "sugar.csv").write_text(HEADER + ROW)
    with pytest.raises(LayoutError, match="macro"):
        verify_macro(tmp_path / "sugar.csv")


# -- screening --------------------------------------------------------------------------------------------------------

FAULTS = {
    ",2024-03-04,1,2024-03-05,USc/lb,ICE": "null_series_id",
    "SB,,1,2024-03-05,USc/lb,ICE": "null_reference_date",
    "SB,2024-03-04,1,,USc/lb,ICE": "null_available_at",
    "SB,2024-03-04,,2024-03-05,USc/lb,ICE": "null_value",
    "SB,2024-03-04,inf,2024-03-05,USc/lb,ICE": "null_value",
    "SB,2024-03-04,1,2024-03-05,,ICE": "null_unit",
    "SB,2024-03-04,1,2024-03-05,USc/lb,": "null_source",
    "SB,2024-03-04,1,2024-03-03T23:59:59Z,USc/lb,ICE": "available_before_reference_date",
    "SB,2024-03-01,99,2024-03-01T23:30:00Z,USc/lb,ICE": "duplicate_vintage",
}


def test_every_row_is_kept_or_rejected_with_its_reason(csv: Write) -> None:
    rows = verify_macro(csv(HEADER + ROW + "".join(f"{fault}\n" for fault in FAULTS))).rows
    screened = screen_macro(rows, UNIVERSE)
    assert screened.rejected["reason"].tolist() == list(FAULTS.values())
    assert screened.rejected["source_row"].tolist() == list(range(1, len(FAULTS) + 1))
    assert set(FAULTS.values()) == set(REASONS)
    assert list(screened.series.columns) == [*SERIES_COLUMNS, "source_row"]
    assert screened.series["value"].tolist() == [21.5]
    assert screened.series["trade_date_available"].tolist() == [pd.Timestamp("2024-03-04")]


def test_a_row_with_another_fault_does_not_shadow_a_sound_one(csv: Write) -> None:
    screened = screen_macro(verify_macro(csv(HEADER + ROW.replace("21.5", "") + ROW)).rows, UNIVERSE)
    assert screened.series["value"].tolist() == [21.5]
    assert screened.rejected["reason"].tolist() == ["null_value"]


def test_a_value_may_be_public_on_its_reference_date() -> None:
    assert len(vintages(("SB", "2024-03-04", 1.0, "2024-03-04"))) == 1


def test_a_file_of_rejected_rows_only_leaves_an_empty_series(csv: Write) -> None:
    screened = screen_macro(verify_macro(csv(HEADER + ROW.replace("21.5", ""))).rows, UNIVERSE)
    assert len(screened.series) == 0
    assert screened.series.dtypes["trade_date_available"] == np.dtype("datetime64[ns]")


# -- the trade date on which a value is known --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("available_at", "expected"),
    [
        ("2024-03-05 19:20:00", "2024-03-05"),  # 13:20 in winter
        ("2024-03-05 19:20:00.000000001", "2024-03-06"),
        ("2024-07-02 18:20:00", "2024-07-02"),  # 13:20 in summer
        ("2024-07-02 18:21:00", "2024-07-03"),
        ("2024-03-08 19:21:00", "2024-03-11"),  # Friday afternoon
        ("2024-03-09 12:00:00", "2024-03-11"),  # Saturday
        ("2024-03-11 00:00:00", "2024-03-11"),  # Sunday evening in Chicago
    ],
)
def test_a_value_is_known_from_the_first_decision_time_that_is_not_before_it(available_at: str, expected: str) -> None:
    found = trade_date_available(pd.Series(utc(available_at)).astype("datetime64[ns, UTC]"), UNIVERSE)
    assert found.tolist() == np.array([expected], "datetime64[ns]").tolist()


instants = st.datetimes(dt.datetime(2010, 1, 1), dt.datetime(2026, 12, 31)).map(
    lambda moment: moment.replace(microsecond=0)
)


@given(st.lists(instants, min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_that_decision_time_follows_and_the_one_before_does_not(moments: list[dt.datetime]) -> None:
    public = pd.Series(pd.DatetimeIndex(moments, tz="UTC").astype("datetime64[ns, UTC]"))
    dates = trade_date_available(public, UNIVERSE).astype("datetime64[D]")
    assert np.is_busday(dates).all()
    now = public.dt.tz_localize(None).to_numpy()
    assert (decision_instants(dates, UNIVERSE) >= now).all()
    assert (decision_instants(np.busday_offset(dates, -1), UNIVERSE) < now).all()


# -- merging ----------------------------------------------------------------------------------------------------------


def test_all_vintages_are_kept_and_the_later_landing_wins_an_equal_one() -> None:
    stored = vintages(("A", "2024-01-01", 1.0, "2024-02-01"), ("A", "2024-02-01", 2.0, "2024-03-01"))
    arriving = vintages(("A", "2024-01-01", 1.5, "2024-03-01"), ("A", "2024-02-01", 2.5, "2024-03-01"))
    merged = merge_macro(stored, arriving)
    assert merged["value"].tolist() == [1.0, 1.5, 2.5]
    assert list(merged.columns) == [*SERIES_COLUMNS, "source_row"]
    assert not merged.duplicated(list(KEY)).any()


def test_merging_again_or_into_nothing_changes_nothing() -> None:
    series = vintages(("B", "2024-01-01", 1.0, "2024-02-01"), ("A", "2024-02-01", 2.0, "2024-03-01"))
    once = merge_macro(series.iloc[:0], series)
    assert once["series_id"].tolist() == ["A", "B"]
    pd.testing.assert_frame_equal(merge_macro(once, series), once)
    pd.testing.assert_frame_equal(merge_macro(once, series.iloc[:0]), once)
    pd.testing.assert_frame_equal(merge_macro(once.iloc[:0], once.iloc[:0]), once.iloc[:0])


def test_a_series_does_not_change_its_unit() -> None:
    stored = vintages(("A", "2024-01-01", 1.0, "2024-02-01"))
    with pytest.raises(SeriesUnitChangedError, match="A is stored in percent and arrives in fraction"):
        merge_macro(stored, vintages(("A", "2024-02-01", 0.01, "2024-03-01"), unit="fraction"))


# -- as known at an instant -------------------------------------------------------------------------------------------


def test_a_value_is_known_from_the_moment_it_is_public() -> None:
    series = vintages(("CPI", "2024-01-01", 3.1, "2024-02-13 13:30:00"))
    known = as_of(series, utc("2024-02-13 13:29:59.999", "2024-02-13 13:30:00", "2030-01-01"))
    assert known["value"].fillna(-1).tolist() == [-1, 3.1, 3.1]
    assert known["unit"].tolist() == [None, "percent", "percent"]
    assert known["available_at"].isna().tolist() == [True, False, False]


def test_a_revision_counts_from_its_own_publication_on() -> None:
    series = vintages(
        ("GDP", "2023-10-01", 3.3, "2024-01-25"),
        ("GDP", "2023-10-01", 3.2, "2024-02-28"),
        ("GDP", "2024-01-01", 1.6, "2024-04-25"),
        ("GDP", "2023-10-01", 3.4, "2024-06-01"),  # the past is revised after the next quarter is known
    )
    known = as_of(series, utc("2024-02-01", "2024-03-01", "2024-05-01", "2024-07-01"))
    assert known["value"].tolist() == [3.3, 3.2, 1.6, 1.6]
    assert known["reference_date"].dt.strftime("%Y-%m").tolist() == ["2023-10", "2023-10", "2024-01", "2024-01"]


def test_values_published_together_give_the_latest_reference_date() -> None:
    series = vintages(("X", "2024-01-03", 3.0, "2024-02-01"), ("X", "2024-01-02", 2.0, "2024-02-01"))
    assert as_of(series, utc("2024-02-01"))["value"].tolist() == [3.0]


def test_nothing_is_known_of_no_series() -> None:
    empty = vintages(("X", "2024-01-03", 3.0, "2024-02-01")).iloc[:0]
    assert len(as_of(empty, utc("2024-01-01"))) == 0
    frame = daily_frame(empty, *_trade_dates("2024-01-01", "2024-01-05"), {"X": 7})
    assert frame["series_id"].tolist() == ["X"] * 5
    assert frame[["value", "unit", "reference_date", "available_at"]].isna().all().all()
    full = daily_frame(
        vintages(("X", "2024-01-01", 3.0, "2024-01-01")), *_trade_dates("2024-01-01", "2024-01-05"), {"X": 7}
    )
    assert (frame.dtypes == full.dtypes).all()
    assert len(daily_frame(empty, *_trade_dates("2024-01-06", "2024-01-07"), {"X": 7})) == 0
    assert len(daily_frame(empty, *_trade_dates("2024-01-01", "2024-01-05"), {})) == 0


def _trade_dates(first: str, last: str) -> tuple[np.ndarray, np.ndarray]:
    dates = pd.bdate_range(first, last).to_numpy().astype("datetime64[D]")
    return dates, decision_instants(dates, UNIVERSE)


day = st.integers(0, 30)
random_vintages = st.lists(st.tuples(st.sampled_from("AB"), day, st.integers(0, 96)), min_size=1, max_size=40)


def made_of(drawn: list[tuple[str, int, int]]) -> pd.DataFrame:
    """Vintages whose value is unique: (series, reference day, publication delay in quarter days)."""
    start = pd.Timestamp("2024-02-26")
    rows = []
    for number, (name, reference, delay) in enumerate(drawn):
        date = start + pd.Timedelta(days=reference)
        rows.append((name, str(date.date()), float(number), str(date + pd.Timedelta(hours=6 * delay))))
    return vintages(*rows)


@given(random_vintages)
@settings(max_examples=60, deadline=None)
def test_as_of_is_what_a_person_would_look_up(drawn: list[tuple[str, int, int]]) -> None:
    series = made_of(drawn)
    instants = pd.date_range("2024-02-20", "2024-05-01", freq="9h", tz="UTC")
    known = as_of(series.sample(frac=1, random_state=0), instants)
    names = sorted(series["series_id"].unique())
    assert known["series_id"].tolist() == [name for name in names for _ in instants]
    rows = list(series.itertuples())
    for found in known.iloc[::7].itertuples():
        public = [row for row in rows if row.series_id == found.series_id and row.available_at <= found.instant]
        if public:
            latest = max(public, key=lambda row: (row.reference_date, row.available_at))
            assert (found.value, found.reference_date) == (latest.value, latest.reference_date)
            assert found.available_at == latest.available_at
        else:
            assert np.isnan(found.value)
            assert found.reference_date is pd.NaT


@given(random_vintages, st.integers(1, 20))
@settings(max_examples=40, deadline=None)
def test_a_day_needs_only_the_partitions_of_its_staleness(drawn: list[tuple[str, int, int]], staleness: int) -> None:
    series = made_of(drawn)
    dates, decisions = _trade_dates("2024-03-01", "2024-04-15")
    limits = {"A": staleness, "B": 3}
    full = daily_frame(series, dates, decisions, limits)
    partitions = trade_date_ordinals(series["trade_date_available"])
    for number in range(0, len(dates), 4):
        today = trade_date_ordinals(dates[number : number + 1])[0]
        back = max(trade_dates_within(limit) for limit in limits.values())
        seen = series[(partitions >= today - back) & (partitions <= today)]
        alone = daily_frame(seen, dates[number : number + 1], decisions[number : number + 1], limits)
        expected = full[full["date"] == dates[number]].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, expected, check_exact=True)


@pytest.mark.parametrize("staleness", range(1, 23))
def test_the_partitions_of_a_staleness_are_those_and_no_more(staleness: int) -> None:
    trade_dates = pd.bdate_range("2024-03-01", periods=5)
    oldest = pd.Series(trade_dates - pd.Timedelta(days=staleness)).dt.tz_localize("UTC").astype("datetime64[ns, UTC]")
    partitions = trade_date_available(oldest, UNIVERSE)
    reach = trade_date_ordinals(trade_dates) - trade_date_ordinals(partitions)
    assert reach.max() == trade_dates_within(staleness)


def test_a_stale_value_is_not_used() -> None:
    series = vintages(("SB", "2024-03-01", 21.0, "2024-03-01 23:30"))  # a Friday, after the decision time
    frame = daily_frame(series, *_trade_dates("2024-03-01", "2024-03-12"), {"SB": 7})
    assert frame["date"].dt.day.tolist() == [1, 4, 5, 6, 7, 8, 11, 12]
    assert frame["value"].notna().tolist() == [False, True, True, True, True, True, False, False]
    assert frame["unit"].tolist() == [None, *["percent"] * 5, None, None]


def test_a_late_revision_of_an_old_value_is_no_fresh_value() -> None:
    series = vintages(("X", "2024-01-01", 1.0, "2024-01-01"), ("X", "2024-01-01", 2.0, "2024-03-01"))
    frame = daily_frame(series, *_trade_dates("2024-03-01", "2024-03-05"), {"X": 30})
    assert frame["value"].isna().all()


def test_series_that_are_not_asked_for_are_left_out() -> None:
    series = vintages(("A", "2024-03-01", 1.0, "2024-03-01"), ("B", "2024-03-01", 2.0, "2024-03-01"))
    frame = daily_frame(series, *_trade_dates("2024-03-01", "2024-03-01"), {"B": 7, "C": 7})
    assert frame["series_id"].tolist() == ["B", "C"]
    assert frame["value"].fillna(-1).tolist() == [2.0, -1.0]


# -- real series ------------------------------------------------------------------------------------------------------


def test_real_daily_series_arrive_the_next_trade_date(tmp_path: Path) -> None:
    path = REAL_DATA / "inputs" / "vix_daily.parquet"
    if not path.exists():
        pytest.skip(f"no real data at {path}")
    table = pq.read_table(path).to_pandas(ignore_metadata=True)
    dates = pd.to_datetime(table["date"])
    published = (dates + pd.Timedelta(hours=15, minutes=15)).dt.tz_localize("America/Chicago")
    frame = pd.DataFrame({"series_id": "VIXCLS", "date": dates, "value": table["close"], "available_at": published})
    frame.assign(unit="index points", source="CBOE").to_parquet(tmp_path / "vix.macro.parquet")
    screened = screen_macro(verify_macro(tmp_path / "vix.macro.parquet").rows, UNIVERSE)
    assert len(screened.rejected) == 0
    series = merge_macro(screened.series.iloc[:0], screened.series)
    known = daily_frame(series, *_trade_dates("2015-08-24", "2015-08-28"), {"VIXCLS": 5})
    closes = frame.set_index("date")["value"]
    assert (
        known["value"].tolist() == closes.reindex(pd.DatetimeIndex(known["date"]) - pd.offsets.BusinessDay()).tolist()
    )
