"""Bars at the door: what a file is about, where it changes earlier ones, and what is read of all of them together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.config.universe import load_universe
from cbi_dagster.vendors.databento.landed_bars import Bars
from cbi_dagster.vendors.kinds import Landed, LandedFile
from cbi_dagster_tests.vendors.small_files import content, hourly, mapping_of, zl_bars, zl_file

BARS = Bars(load_universe())
EVER = [(np.datetime64("2000-01-01"), np.datetime64("2030-01-01"))]
JULY = mapping_of(("ZL.v.0", "2024-07-01", "2024-08-01", 11))


def utc(instant: str) -> pd.Timestamp:
    return pd.Timestamp(instant, tz="UTC")


def file_of(start: str, end: str, number: int = 0) -> LandedFile:
    return LandedFile(
        f"hash {number}", number, f"{number}.dbn", 1, "GLBX.MDP3", "ohlcv-1h", "continuous",
        utc(start), utc(end), 0, 0, 0, 0, utc("2024-08-01"),
    )  # fmt: skip


def together(directory: Path, *parts: tuple[str, str, pd.DataFrame], mapping: pd.DataFrame = JULY) -> Landed:
    """Files of hourly ZL bars, each of a period, landed in this order."""
    files, symbols, found = [], [], {}
    for number, (start, end, bars) in enumerate(parts):
        path = directory / f"{number}.ohlcv-1h.dbn"
        examined = BARS.examine(
            content(zl_file(path, bars, mapping, start=utc(start), end=utc(end))), utc("2024-08-01")
        )
        files.append(file_of(start, end, number))
        found[files[-1].file_hash] = examined
        symbols.append(examined.symbols.assign(file_hash=files[-1].file_hash))
    return Landed(files, pd.concat(symbols, ignore_index=True), lambda file: found[file.file_hash])


def nothing_landed() -> Landed:
    return Landed([], pd.DataFrame(), lambda file: pytest.fail("nothing to read"))


# -- what a file is about ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "dates"),
    [
        ("2024-07-01 00:00", "2024-07-02 00:00", ["07-01", "07-02"]),  # Monday's last two hours are Tuesday's first
        ("2024-07-01 00:00", "2024-07-01 22:00", ["07-01"]),  # the end is exclusive
        ("2024-07-01 00:00", "2024-07-01 22:00:00.000000001", ["07-01", "07-02"]),
        ("2024-07-01 21:59:59", "2024-07-01 22:00", ["07-01"]),
        ("2024-07-01 22:00", "2024-07-01 23:00", ["07-02"]),
        ("2024-07-03 22:00", "2024-07-04 17:00", ["07-04", "07-05"]),  # bars of the holiday are Friday's; grains rest
        ("2024-07-05 12:00", "2024-07-08 00:00", ["07-05", "07-08"]),  # over a weekend into Sunday evening
        ("2024-07-05 22:00", "2024-07-07 22:00", []),
        ("2024-01-09 22:00", "2024-01-09 23:00", ["01-09"]),  # in winter the next date begins at 23:00
    ],
)
def test_a_file_is_about_the_weekdays_whose_trade_date_its_period_touches(
    start: str, end: str, dates: list[str]
) -> None:
    found = BARS.trade_dates([file_of(start, end)], nothing_landed())
    assert [str(date)[5:] for date in found] == dates


def test_files_are_about_the_dates_of_each_and_not_of_what_lies_between() -> None:
    files = [
        file_of("2024-07-10", "2024-07-10 12:00"),
        file_of("2024-07-01", "2024-07-02"),
        file_of("2024-07-01", "2024-07-02"),
    ]
    assert BARS.trade_dates(files, nothing_landed()).astype(str).tolist() == ["2024-07-01", "2024-07-02", "2024-07-10"]
    assert len(BARS.trade_dates([], nothing_landed())) == 0


def test_a_file_says_what_it_kept_rejected_and_left_out(tmp_path: Path) -> None:
    mapping = pd.concat(
        [JULY, mapping_of(("QM.v.0", "2024-07-01", "2024-08-01", 41), ("CL.v.0", "2024-07-01", "2024-07-02", 5))]
    )
    bars = pd.concat([zl_bars().iloc[:4].assign(volume=[1, 0, 2, 3]), hourly("2024-07-01", 5, 41)])
    found = BARS.examine(content(zl_file(tmp_path / "zl.dbn", bars, mapping)), utc("2024-08-01"))
    assert (found.rows, len(found.kept), len(found.rejected), found.outside) == (9, 3, 1, {"QM.v.0": 5})
    assert (found.dataset, found.schema, found.stype_in) == ("GLBX.MDP3", "ohlcv-1h", "continuous")
    # A symbol of the universe that has no bar is known all the same, one outside is not.
    assert found.symbols[["symbol", "root", "instrument_id"]].to_numpy().tolist() == [
        ["CL.v.0", "CL", 5], ["ZL.v.0", "ZL", 11],
    ]  # fmt: skip


def test_a_symbol_without_a_contract_keeps_the_days_of_the_file(tmp_path: Path) -> None:
    path = zl_file(
        tmp_path / "zl.dbn", zl_bars().iloc[:0], JULY.iloc[:0], symbols=["ZL.v.0"], end=utc("2024-07-03 01:00")
    )
    (row,) = BARS.examine(content(path), utc("2024-08-01")).symbols.itertuples()
    assert (row.symbol, row.instrument_id) == ("ZL.v.0", pd.NA)
    assert [str(row.mapping_start.date()), str(row.mapping_end.date())] == ["2024-07-01", "2024-07-04"]


# -- corrections ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "changed"),
    [
        ("2024-07-01 05:00", "2024-07-01 10:00", [5, 6, 7, 8, 9]),  # the first and the last bar of both
        ("2024-07-01 09:00", "2024-07-01 12:00", [9]),
        ("2024-07-01 10:00", "2024-07-01 12:00", []),
        ("2024-07-01 00:00", "2024-07-01 05:00", []),
        ("2024-07-01 00:00", "2024-07-01 06:00", [5]),
    ],
)
def test_a_file_corrects_the_bars_that_it_states_otherwise(
    tmp_path: Path, start: str, end: str, changed: list[int]
) -> None:
    old = hourly("2024-07-01 05:00", 5)
    new = hourly("2024-07-01", 24).iloc[utc(start).hour : utc(end).hour].assign(volume=7777)
    landed = together(tmp_path, ("2024-07-01 05:00", "2024-07-01 10:00", old), (start, end, new))
    found = BARS.corrections(landed.files[1], Landed(landed.files[:1], landed.symbols, landed.examined))
    assert [stamp.hour for stamp in found["ts_event"]] == changed
    assert found["new_volume"].tolist() == [7777] * len(changed)


def test_a_correction_is_of_what_the_last_file_before_it_said(tmp_path: Path) -> None:
    one = hourly("2024-07-01 05:00", 1)
    parts = [("2024-07-01", "2024-07-02", one.assign(volume=volume)) for volume in (1, 2, 3)]
    landed = together(tmp_path, *parts)
    (row,) = BARS.corrections(landed.files[2], Landed(landed.files[:2], landed.symbols, landed.examined)).itertuples()
    assert (row.old_volume, row.new_volume) == (2, 3)


# -- what is read -----------------------------------------------------------------------------------------------------


def test_a_day_is_read_whole_from_whatever_files_hold_it(tmp_path: Path) -> None:
    hours = hourly("2024-07-01", 14 * 24)
    cuts = [*range(0, 14 * 24, 5), 14 * 24]
    starts = [f"{utc('2024-07-01') + pd.Timedelta(hours=cut):%Y-%m-%d %H:00}" for cut in cuts]
    parts = [(a, b, hours.iloc[i:j]) for a, b, i, j in zip(starts, starts[1:], cuts, cuts[1:], strict=False)]
    landed = together(tmp_path, *parts)
    everything = BARS.read("ohlcv-1h", EVER, landed).astype({"symbol": str, "root": str})
    assert len(everything) == len(hours) - 4 * 24  # two weekends are no trade dates
    for day in np.arange("2024-07-01", "2024-07-16", dtype="datetime64[D]"):
        alone = BARS.read("ohlcv-1h", [(day, day)], landed)
        own = everything[everything["date"].to_numpy().astype("datetime64[D]") == day]
        assert alone["ts_event"].tolist() == own["ts_event"].tolist(), day
        assert alone["close"].tolist() == own["close"].tolist()
        assert alone["session_covered"].tolist() == own["session_covered"].tolist()
    two = [
        (np.datetime64("2024-07-02"), np.datetime64("2024-07-02")),
        (np.datetime64("2024-07-09"), np.datetime64("2024-07-09")),
    ]
    assert BARS.read("ohlcv-1h", two, landed)["date"].dt.day.unique().tolist() == [2, 9]
    assert BARS.read("ohlcv-1h", [], landed).empty
    assert BARS.read("ohlcv-1m", EVER, landed).empty


def test_each_bar_names_the_file_that_it_comes_from(tmp_path: Path) -> None:
    hours = hourly("2024-07-01", 6)
    landed = together(
        tmp_path, ("2024-07-01", "2024-07-02", hours), ("2024-07-01 02:00", "2024-07-01 04:00", hours.iloc[2:4])
    )
    bars = BARS.read("ohlcv-1h", EVER, landed)
    assert bars["source_file"].tolist() == ["0.dbn", "0.dbn", "1.dbn", "1.dbn", "0.dbn", "0.dbn"]
    assert bars["source_row"].tolist() == [0, 1, 0, 1, 4, 5]
    assert bars["dataset"].astype(str).unique().tolist() == ["GLBX.MDP3"]
    assert [*bars.columns] == [column.name for column in BARS.tables["ohlcv-1h"].columns]


@pytest.mark.parametrize(
    ("start", "end", "complete"),
    [
        ("2024-07-02 00:00", "2024-07-02 19:00", True),  # from 19:00 to the end of the hour of 13:20 in Chicago
        ("2024-07-02 00:00:01", "2024-07-02 19:00", False),
        ("2024-07-02 00:00", "2024-07-02 18:59:59", False),
    ],
)
def test_a_session_is_covered_from_its_open_to_the_end_of_the_bar_in_which_it_closes(
    tmp_path: Path, start: str, end: str, complete: bool
) -> None:
    bars = hourly("2024-07-02 01:00", 17)
    landed = together(tmp_path, (start, end, bars))
    assert BARS.read("ohlcv-1h", EVER, landed)["session_covered"].unique().tolist() == [complete]


def evening_and_day(directory: Path, *files: tuple[str, str], stype_in: str = "raw_symbol") -> list[tuple[str, bool]]:
    """Trade dates of ESU4, listed on 9 July, and of ESM4 beside it, and whether their sessions are covered.

    Each of the `files` has the bars of its period: both contracts trade from 22:00 to 21:00 UTC, ESU4 from its first
    midnight on.
    """
    mapping = mapping_of(("ESM4", "2024-07-01", "2024-07-13", 5), ("ESU4", "2024-07-09", "2024-07-13", 6))
    hours = hourly("2024-07-01", 12 * 24, level=5000.0)
    hours = hours[hours["ts_event"].dt.hour != 21]
    bars = pd.concat([hours.assign(instrument_id=5), hours[hours["ts_event"] >= "2024-07-09"].assign(instrument_id=6)])
    landed_files, symbols, found = [], [], {}
    for number, (start, end) in enumerate(files):
        own = bars[(bars["ts_event"] >= start) & (bars["ts_event"] < end)]
        stated = mapping[mapping["start_date"] < end]
        path = zl_file(directory / "es.dbn", own, stated, start=utc(start), end=utc(end), stype_in=stype_in,
                       symbols=["ES.FUT"] if stype_in == "parent" else ["ESM4", "ESU4"])  # fmt: skip
        landed_files.append(file_of(start, end, number)._replace(stype_in=stype_in))
        found[landed_files[-1].file_hash] = examined = BARS.examine(content(path), utc("2024-08-01"))
        symbols.append(examined.symbols.assign(file_hash=landed_files[-1].file_hash))
    landed = Landed(landed_files, pd.concat(symbols, ignore_index=True), lambda file: found[file.file_hash])
    read = BARS.read("ohlcv-1h", EVER, landed)
    own = read[read["symbol"] == "ESU4"].drop_duplicates("date")
    return [(f"{date:%m-%d}", known) for date, known in zip(own["date"], own["session_covered"], strict=True)]


@pytest.mark.parametrize("stype_in", ["raw_symbol", "parent"])
def test_the_first_session_of_a_contract_is_complete_if_nothing_of_it_can_have_come_before(
    tmp_path: Path, stype_in: str
) -> None:
    """Its mapping begins at 00:00 UTC, when the session of the trade date is two hours old."""
    week = [("07-09", True), ("07-10", True), ("07-11", True), ("07-12", True)]
    assert evening_and_day(tmp_path, ("2024-07-01", "2024-07-13"), stype_in=stype_in) == week
    both = (("2024-07-01", "2024-07-09"), ("2024-07-09", "2024-07-13"))
    assert evening_and_day(tmp_path, *both, stype_in=stype_in) == week
    late = [("07-09", False), *week[1:]]
    assert evening_and_day(tmp_path, ("2024-07-09", "2024-07-13"), stype_in=stype_in) == late, "it may be older"
    assert evening_and_day(tmp_path, ("2024-07-08 23:00", "2024-07-13"), stype_in=stype_in) == late


@pytest.mark.parametrize(
    ("start", "end", "covered"),
    [
        ("2024-06-30", "2024-07-03", ["07-01", "07-02"]),
        ("2024-07-01", "2024-07-03", ["07-02"]),  # Monday's session begins on Sunday
        ("2024-06-30", "2024-07-02 12:00", ["07-01"]),
    ],
)
def test_a_day_bar_is_covered_by_its_utc_day_and_mondays_by_sunday_too(
    tmp_path: Path, start: str, end: str, covered: list[str]
) -> None:
    mapping = mapping_of(("ZL.v.0", "2024-06-01", "2024-08-01", 11))
    days = hourly("2024-07-01", 2).assign(ts_event=[utc("2024-07-01"), utc("2024-07-02")])
    path = zl_file(tmp_path / "zl.dbn", days, mapping, schema="ohlcv-1d", start=utc(start), end=utc(end))
    examined = BARS.examine(content(path), utc("2024-08-01"))
    file = file_of(start, end)._replace(vendor_schema="ohlcv-1d")
    landed = Landed([file], examined.symbols.assign(file_hash=file.file_hash), lambda file: examined)
    bars = BARS.read("ohlcv-1d", EVER, landed)
    assert bars.loc[bars["session_covered"], "date"].dt.strftime("%m-%d").tolist() == covered
