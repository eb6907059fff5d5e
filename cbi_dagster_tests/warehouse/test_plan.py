"""The plan over hand-made ledgers: which partitions are stale, why, and how far that may reach."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import ASSET_TABLES, INCEPTION, LANDING_SOURCES, TABLES, Daily, Monthly, Read, Table
from cbi_dagster.catalog.columns import pick
from cbi_dagster.catalog.tables.features import BIOFUEL_DAILY, DAILY_ML_MATRIX
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D, OHLCV_1M, OHLCV_UTC_1D
from cbi_dagster.catalog.tables.mes import MES_1HR, MES_5MIN, MES_INTRADAY
from cbi_dagster.catalog.tables.raw_intelligence import MACRO_SERIES, POLICY_COVERAGE, POLICY_EVENTS, POLICY_POSTS
from cbi_dagster.catalog.tables.regimes import REGIME_CALENDAR, REGIME_WEIGHTS
from cbi_dagster.catalog.tables.training import MES_BAR_TRAINING, ZL_TRAINING
from cbi_dagster.warehouse.ledger import Ledger
from cbi_dagster.warehouse.plan import (
    Plan,
    expected_partitions,
    fingerprints,
    fitting,
    landing_sources,
    make_plan,
    newest_trade_date,
    read_intervals,
    stale_partitions,
    stale_sources,
)
from cbi_dagster.warehouse.traffic import Traffic, row_bytes, traffic

pytestmark = pytest.mark.usefixtures("files_stay_open")

LANDED = "landing.ohlcv_1h"
DAYS = np.arange(np.datetime64("2024-01-01"), np.datetime64("2024-03-01"))
DAYS = DAYS[np.is_busday(DAYS)]
DAY = np.datetime64("2024-01-17")
NEWEST = np.datetime64("2024-06-03")


def _table(name: str, *reads: Read, months: bool = False) -> Table:
    partitioning = Monthly("date") if months else Daily("date")
    columns = pick("date symbol close")
    return Table("features", name, "A table.", columns, ("symbol", "date"), partitioning, "features", reads=reads)


BARS = _table("plan_bars", Read(LANDED))
WEEK = _table("plan_week", Read(BARS.id, back=5))
EVER = _table("plan_ever", Read(BARS.id, back=INCEPTION))
LABELS = _table("plan_labels", Read(WEEK.id), Read(BARS.id, forward=3), months=True)
CHAIN = (BARS, WEEK, EVER, LABELS)
CHANGES = ("setting horizons.splits.train_to", "code week.mean", "code week.total", "code week.trailing")
CODE = ("1", lambda table_id, earlier: CHANGES if earlier == "1" else None)
VERSIONS = dict.fromkeys((table.id for table in CHAIN), "1")


@pytest.fixture(autouse=True)
def _declared(monkeypatch: pytest.MonkeyPatch) -> None:
    for table in CHAIN:
        monkeypatch.setitem(TABLES, table.id, table)


def digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def ledger(keys: np.ndarray, contents: list[str], prints: np.ndarray | None = None, at: str = "2024-06-01") -> Ledger:
    count = len(keys)
    moments = np.full(count, np.datetime64(at, "ns"))
    hashes = np.array([digest(content) for content in contents], object)
    prints = np.full(count, "", object) if prints is None else prints
    one = np.full(count, "1", object)
    return Ledger(keys, hashes, np.full(count, 16), moments, one, one, prints, moments, one)


def built(contents: dict[np.datetime64, str] | None = None) -> dict[str, Ledger]:
    """Ledgers of a chain that is up to date; `contents` replaces what was landed on some days."""
    landed = [(contents or {}).get(day, f"bars {day}") for day in DAYS]
    ledgers = {LANDED: ledger(DAYS, landed)}
    for table in CHAIN:
        keys = expected_partitions(table, ledgers, NEWEST)
        ledgers[table.id] = ledger(keys, [f"{table.id} {key}" for key in keys], fingerprints(table, keys, ledgers))
    return ledgers


def plan(ledgers: dict[str, Ledger], versions: dict[str, str] | None = None) -> Plan:
    return make_plan(ledgers, versions or VERSIONS, NEWEST, CHAIN, CODE[1])


def changed(ledgers: dict[str, Ledger], source: str, day: np.datetime64, content: str = "corrected") -> None:
    """Write other content into one partition, later than everything else."""
    old = ledgers[source]
    hashes, written = old.hashes.copy(), old.written_at.copy()
    at = old.at(np.array([day]))[0]
    hashes[at], written[at] = digest(content), np.datetime64("2024-06-02", "ns")
    ledgers[source] = replace(old, hashes=hashes, written_at=written)


def test_fingerprints_are_the_same_in_every_version():
    # Literals: should they change, every stored partition is stale once and confirmed anew.
    assert fingerprints(WEEK, DAYS[-1:], built()).tolist() == ["3ce600376b9d0debe1533d00ffe7e988"]
    assert fingerprints(LABELS, DAYS[:1], built()).tolist() == ["2f91a90fdb45f364266998fc1223da8c"]


def test_nothing_is_stale_in_a_chain_that_is_up_to_date():
    assert plan(built()).tables == ()


def test_a_change_reaches_exactly_the_declared_windows_and_says_which_day_did_it():
    ledgers = built()
    changed(ledgers, LANDED, DAY)
    stale = {item.table.name: item for item in plan(ledgers).tables}
    assert stale["plan_bars"].partitions.astype(str).tolist() == ["2024-01-17"]
    assert stale["plan_week"].partitions.astype(str).tolist() == [
        "2024-01-17", "2024-01-18", "2024-01-19", "2024-01-22", "2024-01-23", "2024-01-24",
    ]  # fmt: skip
    assert stale["plan_ever"].partitions.tolist() == DAYS[DAYS >= DAY].tolist()
    assert stale["plan_labels"].partitions.astype(str).tolist() == ["2024-01-01"]
    (bars,) = stale["plan_bars"].ranges
    assert (bars.reason, bars.certain, bars.rows) == (f"{LANDED} 2024-01-17 changed", True, 16)
    (week,) = stale["plan_week"].ranges
    assert (week.reason, week.certain) == ("features.plan_bars 2024-01-17 may change", False)


def test_a_label_that_looks_into_the_next_month_is_stale_with_it():
    ledgers = built()
    changed(ledgers, BARS.id, np.datetime64("2024-02-05"))
    causes = stale_partitions(LABELS, ledgers[LABELS.id].keys, ledgers, *CODE)
    # 2024-01-31 reads three trade dates ahead, up to 2024-02-05.
    assert {str(key): reason for key, reason in causes.items()} == {
        "2024-01-01": "features.plan_bars 2024-02-05 changed",
        "2024-02-01": "features.plan_bars 2024-02-05 changed",
    }
    ledgers = built()
    changed(ledgers, BARS.id, np.datetime64("2024-02-06"))
    assert [str(key) for key in stale_partitions(LABELS, ledgers[LABELS.id].keys, ledgers, *CODE)] == ["2024-02-01"]


def test_a_refresh_reads_each_window_once_and_writes_what_is_stale():
    ledgers = built()
    changed(ledgers, BARS.id, DAY)
    row = row_bytes(BARS.stored_columns)
    assert row == 3 * 8 + 2 * 14  # date, close and instant; symbol and run
    # plan_week from five dates before, plan_ever everything, plan_labels January of one, three dates more of another.
    read, written = 11 + len(DAYS) + 23 + 26, 6 + int((DAYS >= DAY).sum()) + 1
    assert traffic(plan(ledgers), ledgers) == Traffic(16 * read * row, 16 * written * row)
    assert traffic(plan(built()), ledgers) == Traffic(0, 0)


def test_content_that_comes_out_equal_makes_nothing_stale():
    ledgers = built()
    changed(ledgers, BARS.id, DAY, f"{BARS.id} {DAY}")
    assert plan(ledgers).tables == ()


def test_contents_that_change_places_are_a_change():
    one, other = DAY, np.datetime64("2024-01-18")
    before, after = built(), built({one: f"bars {other}", other: f"bars {one}"})
    assert (fingerprints(EVER, DAYS[-1:], before) == fingerprints(EVER, DAYS[-1:], after)).all()  # BARS is the same
    assert stale_partitions(BARS, np.array([one, other]), before | {LANDED: after[LANDED]}, *CODE).keys() == {
        one,
        other,
    }
    swapped = before[BARS.id].hashes.copy()
    at = before[BARS.id].at(np.array([one, other]))
    swapped[at] = swapped[at[::-1]]
    ledgers = before | {BARS.id: replace(before[BARS.id], hashes=swapped)}
    assert stale_partitions(EVER, DAYS[-1:], ledgers, *CODE), "the window's sum forgets which day held what"


def test_an_empty_input_partition_and_none_at_all_are_different_facts():
    with_empty = built({DAY: ""})
    landed = with_empty[LANDED]
    keep = landed.keys != DAY
    without = with_empty | {LANDED: landed.only(keep)}
    (one,), (other,) = (fingerprints(BARS, np.array([DAY]), ledgers) for ledgers in (with_empty, without))
    assert one != other


def test_equal_inputs_have_different_fingerprints_in_different_tables_and_places():
    ledgers = built()
    twice = replace(WEEK, reads=(Read(BARS.id, back=5), Read(BARS.id, back=5)))
    prints = {fingerprints(table, np.array([DAY]), ledgers)[0] for table in (WEEK, twice, replace(WEEK, name="other"))}
    assert len(prints) == 3


def test_a_new_code_version_makes_every_partition_of_its_table_stale_for_certain_and_says_which():
    stale = {item.table.name: item for item in plan(built(), VERSIONS | {WEEK.id: "2"}).tables}
    assert set(stale) == {"plan_week", "plan_labels"}
    (week,) = stale["plan_week"].ranges
    said = "setting changed: horizons.splits.train_to; code changed: week.mean, week.total and 1 more"
    assert (week.partitions, week.reason, week.certain) == (len(DAYS), said, True)
    assert not any(part.certain for part in stale["plan_labels"].ranges)


def test_code_of_which_no_account_was_kept_is_said_to_have_changed():
    ledgers = built()
    reasons = set(stale_partitions(WEEK, ledgers[WEEK.id].keys, ledgers, "2", lambda table_id, earlier: None).values())
    assert reasons == {"code changed: an earlier version of cbi, which kept no account of its code, built it"}


def test_a_source_that_other_code_read_is_named_with_what_has_changed():
    ledgers = built()
    versions = {**dict.fromkeys(LANDING_SOURCES, "1"), **VERSIONS}
    assert stale_sources(ledgers, versions, CODE[1]) == {}
    ((source, said),) = stale_sources(ledgers, versions | {LANDED: "2"}, CODE[1]).items()
    assert (source, said.partition(";")[0]) == (LANDED, "setting changed: horizons.splits.train_to")


def test_landed_dates_without_content_are_missing():
    ledgers = built()
    ledgers[BARS.id] = ledgers[BARS.id].only(ledgers[BARS.id].keys != DAYS[-1])
    (first, *_) = plan(ledgers).tables
    assert (first.table, first.ranges[0].first, first.ranges[0].reason) == (BARS, str(DAYS[-1]), "missing")
    assert first.rows == 16, "the mean of the others"


# -- how many partitions are built at once -----------------------------------------------------------------------------


def test_as_many_partitions_fit_as_take_no_more_values_than_allowed():
    ledgers = built()  # 16 rows a day
    day = 16 * len(BARS.columns)
    assert [fitting(BARS, DAYS, ledgers, values) for values in (1, day, 2 * day - 1, 2 * day)] == [1, 1, 1, 2]
    assert fitting(BARS, DAYS, ledgers, 10**6) == len(DAYS)
    # Five days more, which the windows of neighbours share.
    fits = [fitting(WEEK, DAYS[10:], ledgers, days * day) for days in (7, 9, 12)]
    assert fits == [1 + 2, 4, 7], "a third of the limit on top of a window that is large"
    # February is read for its features, and for its bars and those of three days of March, which are not there.
    months = ledgers[LABELS.id].keys
    january, february = 23 * day, 21 * day
    both = 2 * january + 3 * day + 2 * february - 3 * day
    assert [fitting(LABELS, months, ledgers, values) for values in (both - 1, both)] == [1, 2]


def test_a_table_of_bars_takes_what_it_makes_too():
    table = _table("plan_minutes", Read(LANDED))
    bars = replace(table, columns=pick("date symbol ts_event close"), key=("symbol", "ts_event"))
    day = 16 * 2 * len(bars.columns)
    assert [fitting(bars, DAYS, built(), values) for values in (2 * day - 1, 2 * day)] == [1, 2]


def test_of_some_symbols_no_more_is_read_than_they_can_have():
    minutes = _table("plan_some", Read(LANDED, columns=("date", "symbol"), symbols=("MES",)))
    ledgers = {LANDED: built()[LANDED]}
    ledgers[LANDED] = replace(ledgers[LANDED], row_counts=np.full(len(DAYS), 20_000))
    day = 1_440 * 2
    assert [fitting(minutes, DAYS, ledgers, values) for values in (3 * day - 1, 3 * day)] == [2, 3]


def test_what_reads_everything_for_any_partition_is_built_at_once():
    assert fitting(EVER, DAYS, built(), 1) == len(DAYS)
    assert fitting(REGIME_WEIGHTS, REGIME_WEIGHTS.partitioning.expected(DAYS), built(), 1) == 1
    assert fitting(BARS, DAYS[:0], built(), 1) == 0


# -- which partitions there should be ----------------------------------------------------------------------------------

MINUTES, HOURS, DAY_BARS = "landing.ohlcv_1m", "landing.ohlcv_1h", "landing.ohlcv_1d"
MACRO, POSTS, COVERAGE = "landing.macro", "landing.posts", "landing.posts_coverage"
#: What the vendor says beside its bars; tables that are made of it have its trade dates.
BESIDE = {"landing.statistics", "landing.definition", "landing.conditions", "landing.futures_eod"}
#: What says by itself which trade dates it has.
OTHER_SOURCES = {
    MACRO_SERIES: {MACRO},
    POLICY_POSTS: {POSTS},
    POLICY_EVENTS: {POSTS},
    POLICY_COVERAGE: {COVERAGE},
}


def landed_on(**days: str) -> dict[str, Ledger]:
    """Ledgers of landing sources by the days (of July 2024) that their files are about."""
    keys = {name: np.array([f"2024-07-{day}" for day in text.split()], "datetime64[D]") for name, text in days.items()}
    return {f"landing.{name}": ledger(dates, [str(date) for date in dates]) for name, dates in keys.items()}


def expected(table: Table, ledgers: dict[str, Ledger]) -> list[str]:
    return [str(key)[5:] for key in expected_partitions(table, ledgers, np.datetime64("2024-07-31"))]


def test_a_table_has_the_trade_dates_of_the_sources_behind_its_inputs():
    ledgers = landed_on(ohlcv_1m="03 04", ohlcv_1h="01 02 03", macro="05 08")
    assert expected(OHLCV_1M, ledgers) == expected(MES_5MIN, ledgers) == ["07-03", "07-04"]
    assert expected(OHLCV_UTC_1D, ledgers) == []
    assert (
        expected(FUTURES_CONTINUOUS_1D, ledgers) == expected(MES_1HR, ledgers) == ["07-01", "07-02", "07-03", "07-04"]
    )
    assert expected(MACRO_SERIES, ledgers) == ["07-05", "07-08"]
    assert expected(REGIME_CALENDAR, ledgers) == ["07-01", "07-02", "07-03", "07-04", "07-05", "07-08"]
    assert expected(REGIME_WEIGHTS, {}) == ["01-01"], "the whole table"


def test_macro_values_beyond_the_bars_make_no_row_of_another_table_expected():
    ledgers = landed_on(ohlcv_1h="01 02", macro="02 03")
    assert expected(BIOFUEL_DAILY, ledgers) == expected(DAILY_ML_MATRIX, ledgers) == ["07-01", "07-02"]
    assert expected(ZL_TRAINING[0], landed_on(ohlcv_1h="01 02", macro="02")) == ["07-01"], "a month"


def test_every_table_is_made_of_the_vendors_data_or_of_one_other_source_but_the_regimes():
    made_of = {table.id: landing_sources(table) for table in ASSET_TABLES}
    for table, sources in OTHER_SOURCES.items():
        assert made_of[table.id] == sources
    for table in (OHLCV_1M, *MES_INTRADAY[:4], *MES_BAR_TRAINING[:4]):
        assert made_of[table.id] == {MINUTES}
    for name, sources in made_of.items():
        if TABLES[name] not in (*OTHER_SOURCES, REGIME_CALENDAR, REGIME_WEIGHTS):
            assert set() < sources <= {MINUTES, HOURS, DAY_BARS, *BESIDE}, name


def test_trade_dates_before_the_first_and_after_the_newest_one_have_no_partition():
    days = np.array(["2010-06-04", "2010-06-07", "2024-06-03", "2024-06-04"], "datetime64[D]")
    ledgers = {HOURS: ledger(days, [str(day) for day in days])}
    assert expected_partitions(BARS, ledgers, NEWEST).astype(str).tolist() == ["2010-06-07", "2024-06-03"]


def test_the_rows_of_a_table_that_was_never_built_are_unknown():
    ledgers = built()
    del ledgers[WEEK.id]
    assert {item.table: item.rows for item in plan(ledgers).tables} == {WEEK: None, LABELS: 32}


def test_neighbouring_partitions_are_one_range_only_if_they_are_stale_for_the_same_reason():
    both = replace(LABELS, name="plan_both", partitioning=Daily("date"), reads=(Read(WEEK.id), Read(BARS.id)))
    ledgers = built()
    ledgers[both.id] = ledger(DAYS, [str(day) for day in DAYS], fingerprints(both, DAYS, ledgers))
    changed(ledgers, WEEK.id, np.datetime64("2024-01-16"))
    changed(ledgers, WEEK.id, np.datetime64("2024-01-17"))
    changed(ledgers, BARS.id, np.datetime64("2024-01-18"))
    ledgers[both.id] = ledgers[both.id].only(ledgers[both.id].keys != np.datetime64("2024-01-19"))
    (found,) = make_plan(ledgers, {both.id: "1"}, NEWEST, [both], CODE[1]).tables
    assert [(part.first, part.last, part.partitions, part.reason) for part in found.ranges] == [
        ("2024-01-16", "2024-01-17", 2, "features.plan_week 2024-01-16 … 2024-01-17 changed"),
        ("2024-01-18", "2024-01-18", 1, "features.plan_bars 2024-01-18 changed"),
        ("2024-01-19", "2024-01-19", 1, "missing"),
    ]


def test_the_digest_names_the_stale_set_and_what_it_was_found_on():
    ledgers = built()
    changed(ledgers, LANDED, DAY)
    again = built()
    changed(again, LANDED, DAY)
    other = built()
    changed(other, LANDED, DAY, "corrected otherwise")
    assert plan(ledgers).digest == plan(again).digest != plan(other).digest
    fewer = make_plan(ledgers, VERSIONS, NEWEST, CHAIN[:1], CODE[1])
    newer = plan(ledgers, VERSIONS | {BARS.id: "2"})
    assert len({plan(ledgers).digest, fewer.digest, newer.digest}) == 3


def test_a_sunday_evening_belongs_to_monday_whose_partition_exists_from_monday_on():
    assert str(newest_trade_date(pd.Timestamp("2024-06-02 23:30", tz="America/Chicago"))) == "2024-05-31"
    assert str(newest_trade_date(pd.Timestamp("2024-06-03 00:30", tz="America/Chicago"))) == "2024-06-03"


def test_windows_that_touch_or_nearly_touch_are_read_at_once():
    days = np.array(["2024-01-15", "2024-01-17", "2024-02-26"], "datetime64[D]")
    intervals = read_intervals(WEEK, WEEK.reads[0], days)
    assert [(str(a), str(b)) for a, b in intervals] == [("2024-01-08", "2024-01-17"), ("2024-02-19", "2024-02-26")]
