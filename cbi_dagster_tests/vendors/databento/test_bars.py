"""Every bar of a file is kept, rejected with a reason, or counted as outside; merged bars are those delivered last."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbi_dagster.config.universe import load_universe
from cbi_dagster.vendors.databento.bar_files import BARS_COLUMNS
from cbi_dagster.vendors.databento.bars import (
    CORRECTED,
    REASONS,
    Screened,
    classify_symbols,
    corrections,
    covered,
    merge_bars,
    merge_mappings,
    screen_bars,
    session_instruments,
)
from cbi_dagster_tests.vendors.small_files import END, REAL_DELIVERY, START, bar_file, hourly, mapping_of

UNIVERSE = load_universe()
NOW = pd.Timestamp("2026-01-01", tz="UTC")


def vendor_bars(*parts: tuple[str, pd.DataFrame]) -> pd.DataFrame:
    """Bars of several symbols as a verified file has them."""
    bars = pd.concat([frame.assign(symbol=symbol) for symbol, frame in parts], ignore_index=True)
    bars = bars.assign(symbol=bars["symbol"].astype("category"), source_row=np.arange(len(bars)))
    return bars[list(BARS_COLUMNS)]


def screened(bars: pd.DataFrame, schema: str = "ohlcv-1h") -> Screened:
    result = screen_bars(bars, schema, UNIVERSE, (START, END), NOW)
    assert len(bars) == len(result.bars) + len(result.rejected) + result.outside_counts.sum()
    return result


# -- symbols ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("symbol", "root", "kind"),
    [
        ("ZL.v.0", "ZL", "continuous"),
        ("ZL.c.1", "ZL", "continuous"),
        ("6E.n.12", "6E", "continuous"),
        ("MES.v.0", "MES", "continuous"),
        ("ZLZ4", "ZL", "outright"),
        ("ESH24", "ES", "outright"),
        ("MESH4", "MES", "outright"),
        ("6AM5", "6A", "outright"),
        ("ZLZ4-ZLF5", "ZL", "spread"),
        ("ZL:BF F5-H5-K5", "ZL", "spread"),
        ("ZLZ424", None, "outside"),
        ("ZLA4", None, "outside"),
        ("ZL.x.0", None, "outside"),
        ("GC.v.0", None, "outside"),
        ("OZLZ4", None, "outside"),
        ("GCZ4-GCG5", None, "outside"),
        ("ZL.FUT", None, "outside"),
        ("UD:1V: GN 0615", None, "outside"),
    ],
)
def test_symbols_are_told_apart(symbol: str, root: str | None, kind: str) -> None:
    (row,) = classify_symbols([symbol], UNIVERSE).itertuples(index=False)
    assert (row.symbol, row.root, row.kind) == (symbol, root, kind)


# -- screening --------------------------------------------------------------------------------------------------------


def test_sound_bars_of_the_universe_are_kept_with_root_and_trade_date() -> None:
    bars = vendor_bars(("ZL.v.0", hourly("2024-07-01 20:00", 4)))
    kept = screened(bars).bars
    pd.testing.assert_frame_equal(kept[list(BARS_COLUMNS)], bars, check_exact=True)
    assert kept["root"].astype(str).tolist() == ["ZL"] * 4
    # 22:00 UTC is 17:00 in Chicago in summer: the next trade date begins.
    assert kept["date"].dt.strftime("%m-%d").tolist() == ["07-01", "07-01", "07-02", "07-02"]
    assert kept["date"].dtype == "datetime64[ns]"


def test_other_markets_and_spreads_are_counted_and_left_out() -> None:
    bars = vendor_bars(
        ("GC.v.0", hourly("2024-07-01", 3)), ("ZL.v.0", hourly("2024-07-01", 2)), ("ZLN4-ZLQ4", hourly("2024-07-01", 4))
    )
    result = screened(bars)
    assert result.outside_counts.to_dict() == {"GC.v.0": 3, "ZLN4-ZLQ4": 4}
    assert result.bars["symbol"].cat.categories.tolist() == ["ZL.v.0"]


def test_a_file_without_bars_and_a_file_without_bars_of_the_universe_are_screened() -> None:
    for bars in (vendor_bars(("ZL.v.0", hourly("2024-07-01", 0))), vendor_bars(("GC.v.0", hourly("2024-07-01", 2)))):
        result = screened(bars)
        assert len(result.bars) == len(result.rejected) == 0
        assert [*result.bars.columns] == [*BARS_COLUMNS, "root", "date"]
        assert result.bars["date"].dtype == "datetime64[ns]"


def _faulty(column: str, value: object) -> pd.DataFrame:
    bars = hourly("2024-07-01 10:00", 3)
    bars[column] = bars[column].astype(object)
    bars.at[1, column] = value
    return bars.infer_objects()


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("open", np.nan, "undefined_price"),
        ("close", np.inf, "undefined_price"),
        ("low", 0.0, "non_positive_price"),
        ("low", -1.0, "non_positive_price"),
        ("high", 0.0, "non_positive_price"),
        ("high", 1.0, "ohlc_order"),
        ("low", 99.0, "ohlc_order"),
        ("open", 99.0, "ohlc_order"),
        ("close", 1.0, "ohlc_order"),
        ("volume", 0, "non_positive_volume"),
        ("volume", -1, "non_positive_volume"),
        ("ts_event", pd.Timestamp("2024-07-01 11:30", tz="UTC"), "off_grid_timestamp"),
        ("ts_event", pd.Timestamp("2024-07-01 11:00:00.000000001", tz="UTC"), "off_grid_timestamp"),
        ("ts_event", pd.Timestamp("2024-06-28 11:00", tz="UTC"), "outside_file_span"),
        ("ts_event", START - pd.Timedelta(hours=1), "outside_file_span"),
        ("ts_event", END, "outside_file_span"),
        ("ts_event", pd.Timestamp("2024-07-01 10:00", tz="UTC"), "duplicate_bar"),
        ("ts_event", pd.Timestamp("2024-07-05 22:00", tz="UTC"), "weekend_trade_date"),
    ],
)
def test_an_impossible_bar_is_rejected_with_its_reason(column: str, value: object, reason: str) -> None:
    bars = vendor_bars(("ZL.v.0", _faulty(column, value)))
    result = screened(bars)
    assert result.rejected["reason"].tolist() == [reason]
    assert result.rejected["source_row"].tolist() == [1]
    assert result.bars["source_row"].tolist() == [0, 2]


def test_bars_at_both_ends_of_the_period_and_on_the_bounds_of_every_rule_are_kept() -> None:
    bars = pd.concat([hourly("2024-07-01", 1), hourly("2024-07-05 21:00", 1)], ignore_index=True)
    flat = bars.assign(open=2.5, high=2.5, low=2.5, close=2.5, volume=1)
    span = (START, END - pd.Timedelta(hours=2))
    assert len(screen_bars(vendor_bars(("ZL.v.0", flat)), "ohlcv-1h", UNIVERSE, span, NOW).bars) == 2
    span = (START + pd.Timedelta(1, "ns"), END - pd.Timedelta(hours=3))
    assert screen_bars(vendor_bars(("ZL.v.0", flat)), "ohlcv-1h", UNIVERSE, span, NOW).bars.empty


def test_the_grid_is_that_of_the_schema() -> None:
    bars = hourly("2024-07-01 10:00", 3)
    bars["ts_event"] += pd.to_timedelta([0, 90, 60], unit="s")
    for schema, kept in (("ohlcv-1m", [0, 2]), ("ohlcv-1h", [0])):
        assert screened(vendor_bars(("ZL.v.0", bars)), schema).bars["source_row"].tolist() == kept


def test_a_bar_gets_the_first_reason_that_holds() -> None:
    bars = vendor_bars(("ZL.v.0", hourly("2024-07-05 22:00", 1).assign(volume=0, low=0.0)))
    assert screened(bars).rejected["reason"].tolist() == ["non_positive_price"]
    assert (
        REASONS.index("non_positive_price") < REASONS.index("non_positive_volume") < REASONS.index("weekend_trade_date")
    )


def test_crude_oil_may_be_negative() -> None:
    for symbol, kept in (("CL.v.0", 3), ("NG.v.0", 0)):
        assert len(screened(vendor_bars((symbol, hourly("2024-07-01", 3, level=-37.0)))).bars) == kept


@pytest.mark.parametrize("changed", [0.0, 0.01])
def test_of_repeated_bars_the_first_is_kept(changed: float) -> None:
    bars = hourly("2024-07-01", 2)
    again = bars.iloc[[1]].assign(high=bars["high"].iloc[1] + changed)
    result = screened(vendor_bars(("ZL.v.0", pd.concat([bars, again, again])), ("ZL.c.0", bars)))
    assert result.bars["source_row"].tolist() == [0, 1, 4, 5]
    assert result.rejected[["source_row", "reason"]].to_numpy().tolist() == [[2, "duplicate_bar"], [3, "duplicate_bar"]]


def test_a_sound_bar_is_no_duplicate_of_a_rejected_one() -> None:
    bars = hourly("2024-07-01", 1)
    result = screened(vendor_bars(("ZL.v.0", pd.concat([bars.assign(volume=0), bars]))))
    assert result.bars["source_row"].tolist() == [1]
    assert result.rejected["reason"].tolist() == ["non_positive_volume"]


def test_day_bars_are_dated_by_their_utc_day_and_sundays_by_their_monday() -> None:
    days = hourly("2024-07-01", 7).assign(ts_event=pd.date_range("2024-07-01", periods=7, tz="UTC"))
    result = screen_bars(
        vendor_bars(("ZL.v.0", days)), "ohlcv-1d", UNIVERSE, (START, pd.Timestamp("2024-07-08", tz="UTC")), NOW
    )
    assert result.bars["date"].dt.day.tolist() == [1, 2, 3, 4, 5, 8]
    assert result.rejected[["reason", "source_row"]].to_numpy().tolist() == [["weekend_trade_date", 5]]


@pytest.mark.parametrize("schema", ["ohlcv-1h", "ohlcv-1d"])
def test_bars_of_independence_day_belong_to_the_day_after_where_nothing_settles_and_grains_keep_their_day(
    schema: str,
) -> None:
    length = pd.Timedelta("1h") if schema == "ohlcv-1h" else pd.Timedelta("1d")
    day = hourly("2024-07-04", 2).assign(ts_event=pd.date_range("2024-07-03", periods=2, freq=length, tz="UTC"))
    day["ts_event"] += pd.Timedelta("23h") if schema == "ohlcv-1h" else pd.Timedelta(0)
    kept = screen_bars(
        vendor_bars(("ZL.v.0", day), ("MES.v.0", day.assign(close=5000.0, open=5000.0, high=5000.0, low=5000.0))),
        schema, UNIVERSE, (START, pd.Timestamp("2024-07-08", tz="UTC")), NOW,
    ).bars  # fmt: skip
    dates = kept.groupby("symbol", observed=True)["date"].agg(lambda dates: dates.dt.day.tolist())
    assert dates["ZL.v.0"] == ([4, 4] if schema == "ohlcv-1h" else [3, 4])
    assert dates["MES.v.0"] == ([5, 5] if schema == "ohlcv-1h" else [3, 5])


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ZL.v.0", "ZLN4", "CL.v.0", "GC.v.0", "ZLN4-ZLQ4"]),
            st.integers(-30, 200),
            st.tuples(*[st.sampled_from([-1.0, 0.0, 1.0, 2.0, 3.0, np.nan])] * 4),
            st.integers(-1, 2),
        ),
        max_size=40,
    )
)
def test_screening_is_what_one_finds_looking_at_one_row_after_the_other(
    rows: list[tuple[str, int, tuple[float, float, float, float], int]],
) -> None:
    frame = pd.DataFrame(
        {
            "ts_event": pd.DatetimeIndex([START + pd.Timedelta(minutes=30 * r[1]) for r in rows], tz="UTC"),
            "instrument_id": 1,
            "publisher_id": 1,
            **{
                name: np.array([r[2][i] for r in rows], float)
                for i, name in enumerate(("open", "high", "low", "close"))
            },
            "volume": np.array([r[3] for r in rows], np.int64),
            "source_row": np.arange(len(rows)),
            "symbol": pd.Categorical([r[0] for r in rows]),
        }
    )[list(BARS_COLUMNS)]
    got = screened(frame)
    seen: set[tuple[str, int]] = set()
    expected: dict[int, str | None] = {}
    for number, (symbol, half_hours, (o, h, low, c), volume) in enumerate(rows):
        if symbol in ("GC.v.0", "ZLN4-ZLQ4"):
            continue
        moment = START + pd.Timedelta(minutes=30 * half_hours)
        trade_date = (moment.tz_convert("America/Chicago").tz_localize(None) + pd.Timedelta(hours=7)).date()
        if np.isnan([o, h, low, c]).any():
            reason: str | None = "undefined_price"
        elif not symbol.startswith("CL") and min(o, h, low, c) <= 0:
            reason = "non_positive_price"
        elif not low <= min(o, c) <= max(o, c) <= h:
            reason = "ohlc_order"
        elif volume <= 0:
            reason = "non_positive_volume"
        elif half_hours % 2:
            reason = "off_grid_timestamp"
        elif not START <= moment < END:
            reason = "outside_file_span"
        elif (
            not (-200 if symbol.startswith("CL") else 2.5)
            <= min(o, h, low, c)
            <= max(o, h, low, c)
            <= (1000 if symbol.startswith("CL") else 480)
        ):
            reason = "price_out_of_bounds"
        elif (symbol, half_hours) in seen:
            reason = "duplicate_bar"
        elif trade_date.weekday() >= 5:
            reason = "weekend_trade_date"
            seen.add((symbol, half_hours))
        else:
            reason = None
            seen.add((symbol, half_hours))
        expected[number] = reason
    assert got.bars["source_row"].tolist() == [n for n, reason in expected.items() if reason is None]
    assert dict(zip(got.rejected["source_row"], got.rejected["reason"], strict=True)) == {
        n: reason for n, reason in expected.items() if reason
    }


# -- merging ----------------------------------------------------------------------------------------------------------


def test_the_last_delivery_wins_for_each_bar() -> None:
    old = screened(vendor_bars(("ZL.v.0", hourly("2024-07-01", 4)), ("CL.v.0", hourly("2024-07-01", 2, 5)))).bars
    new = screened(
        vendor_bars(
            ("ZL.v.0", hourly("2024-07-01 03:00", 3, seed=1)), ("ES.v.0", hourly("2024-07-01", 1, level=5000.0))
        )
    ).bars
    old, new = old.assign(source_file="old"), new.assign(source_file="new")
    merged = merge_bars([old, new])
    assert merged["root"].astype(str).tolist() == ["CL"] * 2 + ["ES"] + ["ZL"] * 6
    zl = merged[merged["symbol"] == "ZL.v.0"].reset_index(drop=True)
    assert zl["ts_event"].dt.hour.tolist() == [0, 1, 2, 3, 4, 5]
    assert zl["source_file"].tolist() == ["old"] * 3 + ["new"] * 3
    expected = pd.concat([old[old["symbol"] == "ZL.v.0"].iloc[:3], new[new["symbol"] == "ZL.v.0"]])
    assert zl["close"].tolist() == expected["close"].tolist()
    assert zl["source_row"].tolist() == expected["source_row"].tolist()
    assert isinstance(merged["symbol"].dtype, pd.CategoricalDtype)
    pd.testing.assert_frame_equal(merge_bars([merged]), merged)


def test_merging_in_pieces_is_merging_at_once() -> None:
    parts = [
        screened(
            vendor_bars(("ZL.v.0", hourly(f"2024-07-01 {hour:02}:00", 6, seed=hour)), ("ZLN4", hourly("2024-07-02", 2)))
        ).bars
        for hour in (4, 0, 8, 2)
    ]
    at_once = merge_bars(parts)
    pd.testing.assert_frame_equal(merge_bars([merge_bars(parts[:2]), merge_bars(parts[2:])]), at_once)
    assert not at_once.duplicated(["symbol", "ts_event"]).any()


def test_corrections_name_the_bars_whose_values_changed() -> None:
    before = screened(vendor_bars(("ZL.v.0", hourly("2024-07-01", 8)), ("CL.v.0", hourly("2024-07-01", 8, 5)))).bars
    after = before[before["symbol"] == "ZL.v.0"].iloc[2:6].reset_index(drop=True).copy()
    after.loc[1, "high"] += 1.0
    after.loc[3, ["volume", "instrument_id"]] = [7, 99]
    found = corrections(before, after[::-1])
    assert found["ts_event"].dt.hour.tolist() == [3, 5]
    assert [*found.columns] == ["symbol", "ts_event", "date", *(f"{a}_{n}" for a in ("old", "new") for n in CORRECTED)]
    assert found["symbol"].tolist() == ["ZL.v.0"] * 2
    assert found["new_high"].tolist() == [before.loc[3, "high"] + 1.0, before.loc[5, "high"]]
    assert found["old_high"].tolist() == before.loc[[3, 5], "high"].tolist()
    assert found[["old_instrument_id", "new_instrument_id", "new_volume"]].to_numpy().tolist()[1] == [11, 99, 7]
    assert found["date"].dt.day.tolist() == [1, 1]


def test_the_same_bars_again_new_bars_and_no_bars_are_no_corrections() -> None:
    before = screened(vendor_bars(("ZL.v.0", hourly("2024-07-01", 8)))).bars
    later = screened(vendor_bars(("ES.v.0", hourly("2024-07-01", 8)), ("ZL.v.0", hourly("2024-07-02", 8)))).bars
    for after in (before, later, before.iloc[:0]):
        assert corrections(before, after).empty
    assert corrections(before.iloc[:0], before).empty


# -- symbology and coverage -------------------------------------------------------------------------------------------


def test_the_last_symbology_wins_for_each_day() -> None:
    first = mapping_of(("ZL.v.0", "2024-07-01", "2024-07-10", 11), ("CL.v.0", "2024-07-01", "2024-07-03", 5))
    second = mapping_of(("ZL.v.0", "2024-07-03", "2024-07-05", 22), ("ZL.v.0", "2024-07-10", "2024-07-12", 11))
    merged = merge_mappings([first, second])
    expected = mapping_of(
        ("CL.v.0", "2024-07-01", "2024-07-03", 5),
        ("ZL.v.0", "2024-07-01", "2024-07-03", 11),
        ("ZL.v.0", "2024-07-03", "2024-07-05", 22),
        ("ZL.v.0", "2024-07-05", "2024-07-12", 11),
    )
    pd.testing.assert_frame_equal(merged, expected)


def test_a_file_that_could_not_resolve_a_symbol_takes_nothing_back() -> None:
    known = mapping_of(("ZL.v.0", "2024-07-01", "2024-07-10", 11)).astype({"instrument_id": "Int64"})
    silent = known.assign(instrument_id=pd.array([pd.NA], dtype="Int64"))
    pd.testing.assert_frame_equal(merge_mappings([known, silent]), merge_mappings([known]))
    assert merge_mappings([silent]).empty


def test_a_session_is_of_the_contract_mapped_on_the_utc_date_equal_to_its_trade_date() -> None:
    mapping = mapping_of(
        ("ZL.v.0", "2024-07-01", "2024-07-03", 11),
        ("ZL.v.0", "2024-07-04", "2024-07-05", 22),
        ("ES.v.0", "2024-07-02", "2024-07-03", 7),
    )
    asked = [
        ("ZL.v.0", "2024-06-30", None),
        ("ZL.v.0", "2024-07-01", 11),
        ("ZL.v.0", "2024-07-02", 11),
        ("ZL.v.0", "2024-07-03", None),
        ("ZL.v.0", "2024-07-04", 22),
        ("ZL.v.0", "2024-07-05", None),
        ("ES.v.0", "2024-07-01", None),
        ("ES.v.0", "2024-07-02", 7),
        ("ES.v.0", "2024-07-03", None),
        ("NQ.v.0", "2024-07-02", None),
    ]
    symbols, dates, expected = zip(*asked, strict=True)
    for shuffled in (mapping, mapping.iloc[::-1].reset_index(drop=True)):
        found = session_instruments(shuffled, list(symbols), np.array(dates, dtype="datetime64[ns]"))
        assert str(found.dtype) == "Int64"
        assert [None if pd.isna(value) else int(value) for value in found] == list(expected)
    assert session_instruments(mapping.iloc[:0], ["ZL.v.0"], np.array(dates[:1], "datetime64[D]")).isna().all()


def spans_of(*rows: tuple[str, int, int]) -> pd.DataFrame:
    """Spans in hours since START."""
    return pd.DataFrame(
        {
            "symbol": [row[0] for row in rows],
            "start": pd.DatetimeIndex([START + pd.Timedelta(hours=row[1]) for row in rows]),
            "end": pd.DatetimeIndex([START + pd.Timedelta(hours=row[2]) for row in rows]),
        }
    )


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(st.sampled_from(["ZL.v.0", "ES.v.0"]), st.integers(0, 20), st.integers(1, 8)), min_size=1, max_size=8
    ),
    st.lists(
        st.tuples(st.sampled_from(["ZL.v.0", "ES.v.0", "NQ.v.0"]), st.integers(-2, 26), st.integers(1, 6)), max_size=20
    ),
)
def test_a_session_is_covered_if_every_hour_of_it_is_in_some_span(
    spans: list[tuple[str, int, int]], sessions: list[tuple[str, int, int]]
) -> None:
    frame = spans_of(*[(symbol, begin, begin + length) for symbol, begin, length in spans])
    hours = {(symbol, hour) for symbol, begin, length in spans for hour in range(begin, begin + length)}
    start = START.tz_convert(None).to_datetime64()
    begin = np.array([s[1] for s in sessions], dtype=np.int64).astype("timedelta64[h]")
    length = np.array([s[2] for s in sessions], dtype=np.int64).astype("timedelta64[h]")
    found = covered(frame, [s[0] for s in sessions], start + begin, start + begin + length)
    assert found.tolist() == [all((s, h) in hours for h in range(b, b + n)) for s, b, n in sessions]


# -- the real delivery, where it is present ---------------------------------------------------------------------------


@pytest.mark.skipif(not REAL_DELIVERY.is_dir(), reason="the real delivery is not here")
def test_the_real_delivery_has_the_bars_that_were_counted_by_other_means() -> None:
    rows, outside = 0, 0
    kept, rejected, mappings = [], [], []
    for file in map(bar_file, sorted(REAL_DELIVERY.glob("*.dbn.zst"))):
        result = screen_bars(file.bars, file.schema, UNIVERSE, (file.start, file.end), NOW)
        rows += len(file.bars)
        outside += int(result.outside_counts.sum())
        kept.append(result.bars)
        rejected.append(result.rejected)
        mappings.append(file.mapping)
    bars = merge_bars(kept)
    refused = pd.concat([frame.astype({"root": str}) for frame in rejected if len(frame)])
    assert (rows, rows - outside) == (4_607_013, 1_217_189)
    assert len(bars) + len(refused) == 1_217_189
    assert refused["reason"].unique().tolist() == ["weekend_trade_date"]
    assert refused.groupby("root").size().to_dict() == {
        "6A": 2, "6B": 1, "6C": 2, "6E": 2, "6J": 1, "6L": 1, "CL": 2, "ES": 2, "HO": 2, "NG": 1, "RB": 1, "ZC": 3,
        "ZL": 2, "ZM": 1, "ZS": 2,
    }  # fmt: skip
    # The aggregate of ES on the UTC day equals the vendor's own day bar.
    day = bars[(bars["root"] == "ES") & (bars["ts_event"].dt.date == pd.Timestamp("2020-12-28").date())]
    assert (day["open"].iloc[0], day["high"].max(), day["low"].min(), day["close"].iloc[-1], day["volume"].sum()) == (
        3702.75, 3735.0, 3697.25, 3735.0, 718_174,
    )  # fmt: skip
    # Every kept bar is of the contract that the merged symbology names for its UTC day.
    contract = session_instruments(
        merge_mappings(mappings), bars["symbol"].astype(str).to_numpy(), bars["ts_event"].dt.tz_convert(None).to_numpy()
    )
    assert (contract == bars["instrument_id"].to_numpy()).all()
