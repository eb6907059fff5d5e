"""What was known at a decision time: prices, and series by the instant at which they became public."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbi_dagster.catalog.columns.decisions import BARS_AT_DECISION
from cbi_dagster.catalog.spans import trade_dates_within
from cbi_dagster.config.universe import load_universe
from cbi_dagster.market.decision import (
    as_of,
    bars_at_decision,
    decision_instants,
    series_at_decision,
    trade_date_available,
)
from cbi_dagster.market.sessions import trade_date_ordinals
from cbi_dagster.vendors.macro import decode_macro, merge_macro, screen_macro

from ..vendors.small_files import content
from .vintages import utc, vintages

REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
UNIVERSE = load_universe()

# -- prices -----------------------------------------------------------------------------------------------------------


def chicago(*clock: str) -> np.ndarray:
    return pd.DatetimeIndex(clock, tz="America/Chicago").tz_convert("UTC").tz_localize(None).to_numpy()


def test_the_decision_time_is_1320_in_chicago_in_winter_and_summer() -> None:
    dates = np.array(["2024-01-15", "2024-07-15"], dtype="datetime64[D]")
    assert (decision_instants(dates, UNIVERSE) == chicago("2024-01-15 13:20", "2024-07-15 13:20")).all()


def decided(bars: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return bars_at_decision(bars, UNIVERSE)


def test_a_bar_counts_at_the_decision_time_if_it_has_ended_by_then(landed) -> None:
    minutes = [(f"2024-06-18 {at}", "MES.v.0", 2, 2, price, price, price, price, 1)
               for at, price in (("13:18", 100.0), ("13:19", 101.0), ("13:20", 102.0))]  # fmt: skip
    row = decided({"ohlcv-1m": landed(minutes)}).iloc[0]
    assert (row["open"], row["close_decision"]) == (100.0, 101.0)
    assert row["decision_bar_end"] == pd.Timestamp("2024-06-18 13:20", tz="America/Chicago")
    hours = [("2024-06-18 12:00", "MES.v.0", 2, 2, 7.0, 7.0, 7.0, 7.0, 1),
             ("2024-06-18 13:00", "MES.v.0", 2, 2, 8.0, 8.0, 8.0, 8.0, 1)]  # fmt: skip
    assert decided({"ohlcv-1h": landed(hours)})["close_decision"].tolist() == [7.0]


def test_a_market_that_had_not_traded_by_then_has_no_row(landed) -> None:
    late = ("2024-06-18 13:20", "MES.v.0", 2, 2, 102.0, 102.0, 102.0, 102.0, 1)
    early = ("2024-06-18 13:19", "ES.v.0", 5, 5, 7.0, 7.0, 7.0, 7.0, 1)
    assert decided({"ohlcv-1m": landed([early, late])})["symbol"].tolist() == ["ES"]
    assert decided({}).empty
    assert list(decided({}).columns) == list(BARS_AT_DECISION)


def test_it_is_of_the_contract_of_the_session_and_knows_the_other_ones_last_bar_before(landed) -> None:
    hours = [
        ("2024-06-17 17:00", "MES.v.0", 1, 2, 100.0, 100.0, 100.0, 100.0, 1),
        ("2024-06-17 18:00", "MES.v.0", 1, 2, 101.0, 101.0, 101.0, 101.0, 1),
        ("2024-06-17 19:00", "MES.v.0", 2, 2, 111.0, 111.0, 111.0, 111.5, 1),
        ("2024-06-18 11:00", "MES.v.0", 2, 2, 112.0, 112.0, 112.0, 112.5, 1),
        ("2024-06-18 12:00", "MES.v.0", 1, 2, 103.0, 103.0, 103.0, 103.0, 1),
    ]
    (row,) = decided({"ohlcv-1h": landed(hours)}).to_dict("records")
    assert (row["instrument_id"], row["open"], row["close_decision"]) == (2, 111.0, 112.5)
    assert (row["boundary_instrument_id"], row["boundary_close"]) == (1, 101.0)


def test_bars_of_other_contracts_alone_are_no_row(landed) -> None:
    others = [("2024-06-17 17:00", "MES.v.0", 1, 2, 100.0, 100.0, 100.0, 100.0, 1)]
    assert decided({"ohlcv-1h": landed(others)}).empty
    assert list(decided({"ohlcv-1h": landed(others)}).columns) == list(BARS_AT_DECISION)


def test_the_finest_schema_that_covers_the_session_up_to_the_decision_time_counts(landed) -> None:
    minute, hour = (
        landed([("2024-06-18 12:00", "MES.v.0", 2, 2, price, price, price, price, 1)]) for price in (1.0, 2.0)
    )
    assert decided({"ohlcv-1m": minute, "ohlcv-1h": hour})["bar_source"].tolist() == ["ohlcv-1m"]
    found = decided({"ohlcv-1m": minute.assign(decision_covered=False), "ohlcv-1h": hour})
    assert found[["bar_source", "close_decision"]].to_numpy().tolist() == [["ohlcv-1h", 2.0]]
    uncovered = hour.assign(decision_covered=False)
    assert decided({"ohlcv-1m": minute.assign(session_instrument_id=pd.NA), "ohlcv-1h": uncovered}).empty


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
@settings(max_examples=100)
def test_that_decision_time_follows_and_the_one_before_does_not(moments: list[dt.datetime]) -> None:
    public = pd.Series(pd.DatetimeIndex(moments, tz="UTC").astype("datetime64[ns, UTC]"))
    dates = trade_date_available(public, UNIVERSE).astype("datetime64[D]")
    assert np.is_busday(dates).all()
    now = public.dt.tz_localize(None).to_numpy()
    assert (decision_instants(dates, UNIVERSE) >= now).all()
    assert (decision_instants(np.busday_offset(dates, -1), UNIVERSE) < now).all()


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
    frame = series_at_decision(empty, _trade_dates("2024-01-01", "2024-01-05"), {"X": 7}, UNIVERSE)
    assert frame["series_id"].tolist() == ["X"] * 5
    assert frame[["value", "unit", "reference_date", "available_at"]].isna().all().all()
    full = series_at_decision(
        vintages(("X", "2024-01-01", 3.0, "2024-01-01")), _trade_dates("2024-01-01", "2024-01-05"), {"X": 7}, UNIVERSE
    )
    assert (frame.dtypes == full.dtypes).all()
    assert len(series_at_decision(empty, _trade_dates("2024-01-06", "2024-01-07"), {"X": 7}, UNIVERSE)) == 0
    assert len(series_at_decision(empty, _trade_dates("2024-01-01", "2024-01-05"), {}, UNIVERSE)) == 0


def _trade_dates(first: str, last: str) -> np.ndarray:
    return pd.bdate_range(first, last).to_numpy().astype("datetime64[D]")


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
@settings(max_examples=60)
def test_as_of_is_what_a_person_would_look_up(drawn: list[tuple[str, int, int]]) -> None:
    series = made_of(drawn)
    instants = pd.date_range("2024-02-20", "2024-05-01", freq="9h", tz="UTC")
    known = as_of(series.sample(frac=1, random_state=0), instants)
    names = sorted(series["series_id"].unique())
    assert known["series_id"].tolist() == [name for name in names for _ in instants]
    assert known.index.equals(pd.RangeIndex(len(known)))
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
@settings(max_examples=40)
def test_a_day_needs_only_the_partitions_of_its_staleness(drawn: list[tuple[str, int, int]], staleness: int) -> None:
    series = made_of(drawn)
    dates = _trade_dates("2024-03-01", "2024-04-15")
    limits = {"A": staleness, "B": 3}
    full = series_at_decision(series, dates, limits, UNIVERSE)
    partitions = trade_date_ordinals(series["trade_date_available"])
    for number in range(0, len(dates), 4):
        today = trade_date_ordinals(dates[number : number + 1])[0]
        back = max(trade_dates_within(limit) for limit in limits.values())
        seen = series[(partitions >= today - back) & (partitions <= today)]
        alone = series_at_decision(seen, dates[number : number + 1], limits, UNIVERSE)
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
    frame = series_at_decision(series, _trade_dates("2024-03-01", "2024-03-12"), {"SB": 7}, UNIVERSE)
    assert frame["date"].dt.day.tolist() == [1, 4, 5, 6, 7, 8, 11, 12]
    assert frame["value"].notna().tolist() == [False, True, True, True, True, True, False, False]
    assert frame["unit"].tolist() == [None, *["percent"] * 5, None, None]


def test_a_late_revision_of_an_old_value_is_no_fresh_value() -> None:
    series = vintages(("X", "2024-01-01", 1.0, "2024-01-01"), ("X", "2024-01-01", 2.0, "2024-03-01"))
    frame = series_at_decision(series, _trade_dates("2024-03-01", "2024-03-05"), {"X": 30}, UNIVERSE)
    assert frame["value"].isna().all()


def test_series_that_are_not_asked_for_are_left_out() -> None:
    series = vintages(("A", "2024-03-01", 1.0, "2024-03-01"), ("B", "2024-03-01", 2.0, "2024-03-01"))
    frame = series_at_decision(series, _trade_dates("2024-03-01", "2024-03-01"), {"B": 7, "C": 7}, UNIVERSE)
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
    screened = screen_macro(decode_macro(content(tmp_path / "vix.macro.parquet")), UNIVERSE)
    assert len(screened.rejected) == 0
    series = merge_macro(screened.series.iloc[:0], screened.series)
    known = series_at_decision(series, _trade_dates("2015-08-24", "2015-08-28"), {"VIXCLS": 5}, UNIVERSE)
    closes = frame.set_index("date")["value"]
    assert (
        known["value"].tolist() == closes.reindex(pd.DatetimeIndex(known["date"]) - pd.offsets.BusinessDay()).tolist()
    )
