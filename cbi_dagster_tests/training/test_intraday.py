"""Intraday labels are returns to the bar right after, inside one session, and NULL with a reason everywhere else."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbi_dagster.catalog.frames import InvalidFrameError
from cbi_dagster.catalog.model import Table
from cbi_dagster.catalog.tables.training import MES_BAR_TRAINING
from cbi_dagster.config.horizons import IntradayHorizon, load_horizons
from cbi_dagster.features.mes_horizons import mes_intraday
from cbi_dagster.market.resample import HORIZON_MINUTES, resampled_bars
from cbi_dagster.matrix.regimes import RegimeCache, RegimeNotCoveredError
from cbi_dagster.training.frames import UnmatchedRowsError
from cbi_dagster.training.intraday import GAP, NO_PRICE, SESSION_END, next_bar_labels, split_by_label
from cbi_dagster_tests.market.intraday_frames import intraday_market
from cbi_dagster_tests.matrix.matrix_frames import regimes

SPLITS = load_horizons().splits
MES = {horizon.name: horizon for horizon in load_horizons().intraday("MES")}
LABELS = ("target", "target_price", "target_direction")


def session(date: str, closes: dict[str, float], symbol: str = "MES") -> pd.DataFrame:
    """Bars of one session by the Chicago wall clock of their close; evening hours fall on the day before."""
    day = pd.Timestamp(date)
    at = [pd.Timestamp(f"{day - pd.Timedelta(days=int(clock > '17:00')):%Y-%m-%d} {clock}") for clock in closes]
    bars = pd.DataFrame({"date": day.as_unit("ns"), "symbol": symbol, "close": list(closes.values())})
    bars["bar_close_ts"] = pd.DatetimeIndex(at).tz_localize("America/Chicago").tz_convert("UTC").as_unit("ns")
    return bars


def stored(bars: pd.DataFrame) -> pd.DataFrame:
    """Bars as they are read back from the warehouse."""
    return bars.assign(run_id="run-1")


@functools.cache
def _market(name: str) -> pd.DataFrame:
    # A roll every 5 sessions; one block in thirty is not traded; 2024 begins on the way.
    minutes = 60 if HORIZON_MINUTES[name] >= 60 else 1
    dates = pd.bdate_range("2023-12-18", "2024-01-12")
    bars, sessions = intraday_market(5, dates, minutes=minutes, activity=0.97, roll_every=5)
    schema = {1: "ohlcv-1m", 60: "ohlcv-1h"}[minutes]
    return stored(mes_intraday(resampled_bars({schema: bars}, sessions)[name], name))


def market(name: str) -> pd.DataFrame:
    """A month of bars with their features."""
    return _market(name).copy()


def intraday_frame(bars: pd.DataFrame, cache: RegimeCache, horizon: IntradayHorizon) -> pd.DataFrame:
    """The content of the horizon's table."""
    return split_by_label(bars, sessions_of(bars), cache, horizon, SPLITS).rows


def sessions_of(bars: pd.DataFrame) -> pd.DataFrame:
    """The continuous rows of the bars' dates."""
    return bars[["symbol", "date"]].astype({"symbol": object}).drop_duplicates().assign(session_quality="complete")


def reference(bars: pd.DataFrame, horizon: IntradayHorizon) -> list[tuple[float, pd.Timestamp] | None]:
    """For every bar the close and time of the one a person would look up: same date, `minutes` later by the clock."""
    by_clock = {(row.date, row.bar_close_ts): row.close for row in bars.itertuples()}
    found = []
    for row in bars.itertuples():
        later = row.bar_close_ts + pd.Timedelta(minutes=horizon.minutes)
        close = by_clock.get((row.date, later))
        found.append(None if close is None else (close, later))
    return found


def test_a_label_is_the_return_to_the_close_of_the_bar_right_after() -> None:
    bars = session("2024-03-06", {"17:01": 4000.0, "17:02": 4010.0, "17:03": 4010.0, "17:04": 3990.0})
    found = next_bar_labels(bars, MES["1min"])
    assert found["target_1min"].tolist()[:3] == pytest.approx([0.0025, 0.0, -20.0 / 4010.0], rel=1e-12)
    assert found["target_price_1min"].tolist()[:3] == [4010.0, 4010.0, 3990.0]
    assert found["target_direction_1min"].tolist() == [1, 0, -1, pd.NA]
    assert found["target_ts"].tolist()[:3] == bars["bar_close_ts"].tolist()[1:]
    assert found["unlabelled"].tolist() == [None, None, None, SESSION_END]
    assert found.iloc[3].drop("unlabelled").isna().all()


@pytest.mark.parametrize(
    ("name", "last", "first"),
    [
        ("1min", "16:00", "17:01"),
        ("1hr", "16:00", "18:00"),
        # The clock alone would not tell: the last block is named 17:00, the next session's first one ends at 21:00.
        ("4hr", "17:00", "21:00"),
    ],
)
def test_no_label_spans_the_break_between_two_sessions(name: str, last: str, first: str) -> None:
    bars = pd.concat([session("2024-03-06", {last: 4000.0}), session("2024-03-07", {first: 4100.0})], ignore_index=True)
    assert next_bar_labels(bars, MES[name])["unlabelled"].tolist() == [SESSION_END, SESSION_END]


def test_a_session_that_closes_early_ends_with_its_last_bar() -> None:
    # The day after Thanksgiving closes at 12:15, and Monday's session begins on Sunday evening.
    early = session("2023-11-24", {"11:00": 4560.0, "12:00": 4561.0, "13:00": 4562.0})
    monday = session("2023-11-27", {"18:00": 4600.0, "19:00": 4601.0})
    found = next_bar_labels(pd.concat([early, monday], ignore_index=True), MES["1hr"])
    assert found["unlabelled"].tolist() == [None, None, SESSION_END, None, SESSION_END]


def test_a_gap_inside_a_session_is_no_next_bar() -> None:
    # Before 2021 nothing traded from 15:15 to 15:30.
    closes = {"15:14": 3000.0, "15:15": 3001.0, "15:31": 3005.0, "15:32": 3006.0, "15:34": 3007.0}
    found = next_bar_labels(session("2020-03-03", closes), MES["1min"])
    assert found["unlabelled"].tolist() == [None, GAP, None, GAP, SESSION_END]
    assert found["target_price_1min"].dropna().tolist() == [3001.0, 3006.0]


def test_a_wider_bar_over_the_same_halt_has_a_next_one() -> None:
    found = next_bar_labels(session("2020-03-03", {"15:00": 3000.0, "15:30": 3003.0, "16:00": 3006.0}), MES["30min"])
    assert found["target_30min"].tolist()[:2] == pytest.approx([0.001, 3.0 / 3003.0], rel=1e-12)


@pytest.mark.parametrize("price", [0.0, -37.63, np.nan])
def test_a_return_from_or_to_no_price_is_unknown(price: float) -> None:
    bars = session("2024-03-06", {"18:00": 10.0, "19:00": price, "20:00": 10.0, "21:00": 11.0})
    found = next_bar_labels(bars, MES["1hr"])
    assert found["unlabelled"].tolist() == [NO_PRICE, NO_PRICE, None, SESSION_END]
    assert found[["target_1hr", "target_price_1hr", "target_ts"]].notna().sum().tolist() == [1, 1, 1]


def test_a_price_below_one_is_a_price() -> None:
    found = next_bar_labels(session("2024-03-06", {"18:00": 0.5, "19:00": 0.25, "20:00": 0.5}), MES["1hr"])
    assert found["target_1hr"].tolist()[:2] == [-0.5, 1.0]


def test_clocks_that_change_do_not_matter() -> None:
    # Daylight saving begins on Sunday, 2024-03-10, between the two sessions; each is contiguous in itself.
    friday = session("2024-03-08", {"18:00": 4000.0, "19:00": 4001.0})
    monday = session("2024-03-11", {"18:00": 4002.0, "19:00": 4003.0, "20:00": 4004.0})
    found = next_bar_labels(pd.concat([friday, monday], ignore_index=True), MES["1hr"])
    assert found["target_price_1hr"].dropna().tolist() == [4001.0, 4003.0, 4004.0]


def test_bars_whose_next_one_cannot_be_told_are_refused() -> None:
    bars = session("2024-03-06", {"18:00": 10.0, "19:00": 10.0})
    with pytest.raises(InvalidFrameError, match="repeated or out of order"):
        next_bar_labels(bars.iloc[::-1], MES["1hr"])
    with pytest.raises(InvalidFrameError, match="repeated or out of order"):
        next_bar_labels(pd.concat([bars, bars.tail(1)]), MES["1hr"])
    with pytest.raises(InvalidFrameError, match=re.escape(f"bar_close_ts {bars['bar_close_ts'][0]} is repeated")):
        next_bar_labels(bars.take([0, 0, 1, 1]), MES["1hr"])
    with pytest.raises(InvalidFrameError, match="bars of 1hr are of 2 symbols"):
        next_bar_labels(bars.assign(symbol=["MES", "ES"]), MES["1hr"])


@pytest.mark.parametrize("name", MES)
def test_labels_agree_with_a_look_up_by_the_clock(name: str) -> None:
    bars = market(name)
    found, expected = next_bar_labels(bars, MES[name]), reference(bars, MES[name])
    assert 0 < sum(one is None for one in expected) < len(bars) / 3
    for row, close, one in zip(found.itertuples(), bars["close"], expected, strict=True):
        assert (row.unlabelled is None) == (one is not None)
        if one is not None:
            assert (getattr(row, f"target_price_{name}"), row.target_ts) == one
            assert getattr(row, f"target_{name}") == one[0] / close - 1.0
            assert getattr(row, f"target_direction_{name}") == (one[0] > close) - (one[0] < close)
        else:
            assert pd.isna([getattr(row, f"{label}_{name}") for label in LABELS]).all()
            assert pd.isna(row.target_ts)


@pytest.mark.parametrize("name", ["1min", "1hr", "4hr"])
def test_no_label_compares_two_contracts(name: str) -> None:
    minutes = 1 if name == "1min" else 60
    schema = {1: "ohlcv-1m", 60: "ohlcv-1h"}[minutes]
    dates = pd.bdate_range("2024-01-08", periods=12)
    source, sessions = intraday_market(6, dates, minutes=minutes, roll_every=4)
    bars = resampled_bars({schema: source}, sessions)[name]
    label = next_bar_labels(bars, MES[name])
    contract = bars.set_index("bar_close_ts")["instrument_id"]
    assert contract.nunique() == 3
    known = label["target_ts"].notna().to_numpy()
    assert (contract[label.loc[known, "target_ts"]].to_numpy() == bars.loc[known, "instrument_id"].to_numpy()).all()


@pytest.mark.parametrize("name", MES)
def test_rows_in_are_rows_out_and_bars_without_a_label(name: str) -> None:
    bars = market(name)
    result = split_by_label(
        bars.sample(frac=1, random_state=3), sessions_of(bars), regimes(bars["date"]), MES[name], SPLITS
    )
    both = pd.concat([result.rows["bar_close_ts"], result.unlabelled["bar_close_ts"]]).sort_values()
    assert both.tolist() == bars["bar_close_ts"].tolist()
    reasons = result.unlabelled["reason"].value_counts()
    assert reasons[SESSION_END] == bars["date"].nunique()
    assert set(reasons.index) <= {SESSION_END, GAP}
    assert (reasons.get(GAP, 0) > 0) == (name in ("1min", "1hr"))
    counts = result.unlabelled_counts()
    assert counts.groupby("reason")["bar_rows"].sum().to_dict() == reasons.to_dict()
    assert counts.loc[counts["reason"] == SESSION_END, "date"].tolist() == bars["date"].unique().tolist()


def test_a_row_carries_its_bars_features_and_its_dates_regime() -> None:
    bars = market("1hr")
    cache = regimes(bars["date"])
    frame = intraday_frame(bars, cache, MES["1hr"])
    features = set(bars.columns) - {"date", "run_id"}
    labels = {"target_1hr", "target_price_1hr", "target_direction_1hr", "target_ts"}
    derived = {
        "data_date",
        "session_quality",
        "regime",
        "training_weight",
        "horizon_minutes",
        "split",
        "as_of",
        "source_run_id",
    }
    assert set(frame.columns) == features | labels | derived
    assert not frame[sorted(labels | derived)].isna().any(axis=None)
    assert (frame["as_of"] == frame["bar_close_ts"]).all()
    assert (frame["target_ts"] > frame["as_of"]).all()
    assert set(frame["horizon_minutes"]) == {60}
    assert set(frame["source_run_id"]) == {"run-1"}
    for position in (0, 200, len(frame) - 1):
        row = frame.iloc[position]
        entry = cache[np.datetime64(row["data_date"], "D")]
        assert (row["regime"], row["training_weight"]) == (entry.name, entry.weight)
    kept = bars[bars["bar_close_ts"].isin(frame["bar_close_ts"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(frame[sorted(features)], kept[sorted(features)], check_exact=True)


@pytest.mark.parametrize(("table", "name"), [*zip(MES_BAR_TRAINING, MES, strict=True)], ids=[*MES])
def test_a_frame_has_what_its_table_declares(table: Table, name: str) -> None:
    frame = intraday_frame(market(name), regimes(market(name)["date"]), MES[name])
    assert set(frame.columns) == {column.name for column in table.columns}
    assert not frame[sorted(table.required)].isna().any(axis=None)


def test_the_last_session_before_a_boundary_is_left_out() -> None:
    frame = intraday_frame(market("4hr"), regimes(market("4hr")["date"]), MES["4hr"])
    by_date = frame.groupby("data_date")["split"].agg(["nunique", "first"])
    assert (by_date["nunique"] == 1).all()
    assert by_date.loc["2023-12-18":"2023-12-28", "first"].unique().tolist() == ["val"]
    assert by_date.loc["2023-12-29", "first"] == "purged"
    assert by_date.loc["2024-01-01":, "first"].unique().tolist() == ["test"]


def test_no_label_of_one_split_ends_in_or_after_an_other() -> None:
    frame = intraday_frame(market("1min"), regimes(market("1min")["date"]), MES["1min"])
    before, after = frame[frame["split"] == "val"], frame[frame["split"] == "test"]
    assert before["target_ts"].max() < after["bar_close_ts"].min() - pd.Timedelta(days=1)


def test_other_symbols_neither_appear_nor_matter() -> None:
    bars = market("1hr")
    other = bars.assign(symbol="ES", close=1.0)
    both = intraday_frame(pd.concat([bars, other]), regimes(bars["date"]), MES["1hr"])
    alone = intraday_frame(bars.astype({"symbol": object}), regimes(bars["date"]), MES["1hr"])
    pd.testing.assert_frame_equal(both, alone, check_exact=True)


def test_a_date_without_a_regime_is_an_error() -> None:
    bars = market("4hr")
    with pytest.raises(RegimeNotCoveredError, match="2024-01-12"):
        intraday_frame(bars, regimes(bars["date"][bars["date"] < "2024-01-12"]), MES["4hr"])


def test_no_bars_give_no_rows() -> None:
    bars = market("1hr")
    empty = intraday_frame(bars.iloc[:0], regimes(bars["date"]), MES["1hr"])
    assert empty.empty
    whole = intraday_frame(bars, regimes(bars["date"]), MES["1hr"])
    assert empty.dtypes.astype(str).to_dict() == whole.dtypes.astype(str).to_dict()


@settings(max_examples=25)
@given(name=st.sampled_from(["5min", "1hr", "4hr"]), cut=st.floats(0.02, 1.0))
def test_a_month_of_sessions_or_a_single_one_gives_the_same_rows(name: str, cut: float) -> None:
    bars = market(name)
    day = bars["date"].iloc[int(cut * (len(bars) - 1))]
    whole = intraday_frame(bars, regimes(bars["date"]), MES[name])
    alone = intraday_frame(bars[bars["date"] == day], regimes(bars["date"]), MES[name])
    expected = whole[whole["data_date"] == day].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, expected, check_exact=True)


def look_ahead_survives(frame_of: Callable[[pd.DataFrame], pd.DataFrame], cut: pd.Timestamp) -> bool:
    """Whether anything known at the cut, an instant, differs once all later bars are deleted."""
    bars = market("1hr")
    full, then = frame_of(bars), frame_of(bars[bars["bar_close_ts"] <= cut])
    known = full[full["target_ts"] <= cut].reset_index(drop=True)
    assert len(known) > 50
    return not then.equals(known)


CUTS = [market("1hr")["bar_close_ts"].iloc[position] for position in (101, 215, 300)]


def as_built(bars: pd.DataFrame) -> pd.DataFrame:
    return intraday_frame(bars, regimes(market("1hr")["date"]), MES["1hr"])


@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_rows_do_not_change_when_the_future_is_deleted(cut: pd.Timestamp) -> None:
    assert not look_ahead_survives(as_built, cut)


def planted_next_high(bars: pd.DataFrame) -> pd.DataFrame:
    return as_built(bars.assign(sma_5b=bars["high"].shift(-2)))


def planted_session_close(bars: pd.DataFrame) -> pd.DataFrame:
    return as_built(bars.assign(vol_5b=bars.groupby("date")["close"].transform("last")))


def planted_next_row_label(bars: pd.DataFrame) -> pd.DataFrame:
    frame = as_built(bars)
    return frame.assign(target_1hr=frame["close"].shift(-1) / frame["close"] - 1.0)


@pytest.mark.parametrize("planted", [planted_next_high, planted_session_close, planted_next_row_label])
def test_a_planted_look_ahead_is_found(planted: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    assert all(look_ahead_survives(planted, cut) for cut in CUTS)


@pytest.mark.parametrize("quality", ["cut", "holed", "thin"])
def test_bars_of_a_session_that_is_there_in_part_have_no_label(quality: str) -> None:
    bars = market("1hr")
    day = bars["date"].unique()[3]
    sessions = sessions_of(bars)
    sessions.loc[sessions["date"] == day, "session_quality"] = quality
    result = split_by_label(bars, sessions, regimes(bars["date"]), MES["1hr"], SPLITS)
    whole = split_by_label(bars, sessions_of(bars), regimes(bars["date"]), MES["1hr"], SPLITS)
    if quality == "thin":
        assert len(result.rows) == len(whole.rows)
        assert set(result.rows.loc[result.rows["data_date"] == day, "session_quality"]) == {"thin"}
        return
    kept = whole.rows[whole.rows["data_date"] != day].reset_index(drop=True)
    pd.testing.assert_frame_equal(result.rows, kept)
    left_out = result.unlabelled[result.unlabelled["data_date"] == day]
    assert set(left_out["reason"]) == {f"session_{quality}"}
    assert len(left_out) == (bars["date"] == day).sum()


def test_a_bar_without_a_session_is_an_error() -> None:
    bars = market("4hr")
    with pytest.raises(UnmatchedRowsError, match=r"features\.mes_4hr have no row in .*futures_continuous_1d"):
        split_by_label(bars, sessions_of(bars).iloc[1:], regimes(bars["date"]), MES["4hr"], SPLITS)
