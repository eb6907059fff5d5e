"""What a value was made of, and why one is NULL, for every nullable column of every table of the simulated world."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cbi_dagster.catalog import ASSET_TABLES, LANDING_SOURCES, Table, table
from cbi_dagster.home import Home, Platform
from cbi_dagster.reports import experiments
from cbi_dagster.reports.absence import ABSENCES
from cbi_dagster.reports.why import NULLS, Answer, NoSuchRowError, null_reasons, why
from cbi_dagster.warehouse.slices import leaf_values
from cbi_dagster_tests.cli.commands import cbi
from cbi_dagster_tests.properties.worlds import World
from cbi_dagster_tests.vendors.small_files import zl_file

DAY, ZL = dt.date(2023, 6, 5), {"symbol": "ZL"}
#: Computed of tables, and quick to try.
QUICK = [
    table(name)
    for name in ("crush_legs_1d", "mes_1hr", "mes_4hr", "golden_zone_daily", "volatility_daily", "pivot_math_daily",
                 "fib_levels_daily", "fx_cross_daily")
]  # fmt: skip
#: Training tables of one symbol are made alike.
ALIKE = [item.id for item in ASSET_TABLES if "prod_allhistory" in item.name and not item.name.endswith(("_1w", "_1d"))]
COMPUTED = [
    item for item in ASSET_TABLES if item.reads and item.reads[0].source not in LANDING_SOURCES and item.id not in ALIKE
]


def rows_with_every_null(platform: Platform, item: Table) -> list[tuple[dict[str, Any], np.datetime64]]:
    """Few rows that together have every column that is NULL somewhere, late rows first."""
    rows = platform.builder.warehouse.read(item)
    nulls = {path: leaf_values(rows, path).is_null().to_numpy() for path, _ in item.leaves()}
    left = {path for path, at in nulls.items() if at.any()}
    found = []
    while left:
        counts = np.sum([nulls[path] for path in left], axis=0)
        at = len(counts) - 1 - int(np.argmax(counts[::-1]))
        left -= {path for path in left if nulls[path][at]}
        one = rows.slice(at, 1)
        found.append(
            (one.select(item.key).to_pylist()[0], np.datetime64(one[item.partitioning.column][0].as_py(), "D"))
        )
    return found


def require_reasons(platform: Platform, item: Table) -> None:
    for key, day in rows_with_every_null(platform, item):
        found = null_reasons(platform, item, key, day)
        assert {reason.kind for reason in found.values()} <= NULLS.keys()
        assert [path for path, reason in found.items() if reason.kind == "unexplained"] == [], key


@pytest.mark.parametrize("item", QUICK, ids=lambda item: item.id)
def test_every_null_has_a_reason(world: World, item: Table) -> None:
    require_reasons(world.platform, item)


@pytest.mark.slow
@pytest.mark.parametrize("item", [item for item in COMPUTED if item not in QUICK], ids=lambda item: item.id)
def test_every_null_of_every_table_has_a_reason(world: World, item: Table) -> None:
    if item.partitioning.column:
        require_reasons(world.platform, item)


def asked(world: World, name: str, path: str, date: dt.date = DAY, **key: str) -> Answer:
    return why(world.platform, table(name), path, date, key or ZL)


def test_a_value_says_what_it_was_made_of_down_to_the_row_of_a_file(world: World) -> None:
    answer = asked(world, "technicals_daily", "sma_20")
    (made_of,) = answer.inputs
    assert made_of.source.id == "market_data.futures_continuous_1d"
    assert set(made_of.columns) == {"adj_close", "adj_factor"}
    assert made_of.symbols == ("ZL",)
    assert made_of.rows == 20
    assert made_of.last == str(DAY)
    assert answer.column.description == table("technicals_daily").column("sma_20").description
    assert answer.formulas == ("cbi_dagster/features/technicals.py",)
    assert answer.files
    bars = world.warehouse.read(table("databento_futures_ohlcv_1h"), [(np.datetime64(DAY),) * 2], symbols=["ZL.v.0"])
    hours = next(item for item in answer.files if item.source.endswith("1h"))
    assert (hours.rows, hours.first_row) == (len(bars), min(bars["source_row"].to_pylist()))


def test_a_recursive_value_reaches_far_back_and_another_market_is_named(world: World) -> None:
    (made_of,) = asked(world, "technicals_daily", "ema_10").inputs
    assert made_of.first < "2023-04-01"
    spread = {item.source.name: item.symbols for item in asked(world, "biofuel_daily", "boho_spread").inputs}
    assert spread == {"futures_continuous_1d": ("ZL",), "futures_decision_1d": ("HO",)}


def test_text_that_a_value_is_made_of_is_named(world: World) -> None:
    told = asked(world, "zl_forecasts", "forecast_p50", **ZL, target_horizon="1w", model="past_returns")
    (made_of,) = told.inputs
    assert (made_of.source.name, made_of.first) == ("zl_forests", "2023-01-03")
    assert {"forest_splits", "forest_returns"} < {*made_of.columns}


def test_a_warm_up_counts_the_sessions_that_are_there_and_those_that_would_do(world: World) -> None:
    (reason,) = asked(world, "technicals_daily", "sma_20", dt.date(2022, 6, 14)).reasons
    assert reason.kind == "warm_up"
    there = world.warehouse.read(table("futures_continuous_1d"), columns=["date"], symbols=["ZL"])["date"].to_pylist()
    count = len([day for day in there if day <= dt.date(2022, 6, 14)])
    assert reason.text.startswith(f"{count} of 20 sessions")


def test_a_null_is_followed_through_the_tables_to_its_root(world: World) -> None:
    reasons = asked(world, "daily_ml_matrix", "technicals.sma_20", dt.date(2022, 6, 14)).reasons
    assert [reason.kind for reason in reasons] == ["upstream_null", "warm_up"]
    assert "features.technicals_daily" in reasons[0].text
    other = asked(world, "daily_ml_matrix", "golden_zone.state").reasons
    assert [reason.kind for reason in other] == ["not_of_symbol", "not_of_table"]
    assert {reason.kind for reason in other} <= NULLS.keys() | ABSENCES.keys()


def test_what_a_column_says_of_its_nulls_is_the_reason_where_nothing_else_is(world: World) -> None:
    (reason,) = asked(world, "futures_continuous_1d", "roll_gap").reasons
    assert reason.kind == "by_rule"
    assert "NULL without a roll" in reason.text


def test_a_record_of_a_kind_that_never_came_is_the_cause(world: World) -> None:
    (reason,) = asked(world, "settlements_1d", "open_interest", dt.date(2023, 8, 31), symbol="ZSX3").reasons
    assert reason.kind == "no_such_row"
    assert "no row of ZSX3 in market_data.databento_futures_statistics" in reason.text
    assert "stat_type open_interest" in reason.text
    key = {"root": "ZS", "contract": "ZSX3"}
    (reason,) = asked(world, "futures_curve_1d", "close", dt.date(2023, 8, 3), **key).reasons
    assert (reason.kind, "contract ZSX3" in reason.text) == ("no_such_row", True)


def test_of_an_input_that_was_never_landed_its_landing_is_the_reason(tmp_path: Path) -> None:
    home = World(tmp_path / "home")
    home.land(zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst"))
    for name in ("databento_futures_ohlcv_1h", "databento_futures_ohlcv_1d"):
        home.builder.build(table(name), None, "test", only_stale=True)
    (reason,) = asked(home, "databento_futures_ohlcv_1d", "settle", dt.date(2024, 7, 2)).reasons
    assert reason.kind == "nothing_known"
    assert reason.text.startswith("market_data.settlements_1d has nothing in the window (nothing_landed")


@pytest.mark.slow
def test_another_columns_rule_is_no_reason_where_that_column_is_known(world: World) -> None:
    good_friday = dt.date(2023, 4, 7)
    (reason, *_) = asked(world, "zl_impact_daily", "zl_price", good_friday, action="trade_negotiation").reasons
    assert (reason.kind, "the exchange of ZL was closed" in reason.text) == ("nothing_known", True)
    (reason, *_) = asked(world, "zl_impact_daily", "expected_price", good_friday, action="trade_negotiation").reasons
    assert "prior_move" not in reason.text


def test_a_session_that_is_taken_away_is_found_as_the_cause(world: World, tmp_path: Path) -> None:
    shutil.copy(Home(world.path).warehouse_file, tmp_path)
    planted = World(tmp_path)
    where = "symbol = 'HO' and date = '2023-06-05'"
    planted.by_other_hands("update features.biofuel_daily set boho_spread = null where date = '2023-06-05'")
    planted.by_other_hands(f"delete from market_data.futures_decision_1d where {where}")
    reasons = asked(planted, "biofuel_daily", "boho_spread").reasons
    assert reasons[0].kind == "no_session"
    assert "market_data.futures_decision_1d has no row of HO on 2023-06-05" in reasons[0].text


def test_what_was_rejected_or_held_back_on_the_way_is_told(world: World) -> None:
    rolled = asked(world, "technicals_daily", "sma_20", dt.date(2022, 6, 24), symbol="HO")
    (reason,) = rolled.left_out
    assert reason.kind == "rejected"
    assert "rejected from market_data.databento_futures_ohlcv_1d on 2022-06-24" in reason.text
    assert "roll_boundary; the first is " in reason.text
    assert asked(world, "technicals_daily", "sma_20").left_out == ()
    key = ("--date", "2022-06-24", "--symbol", "HO")
    assert reason.text in cbi(world.path, "why", "technicals_daily", "sma_20", *key).output
    never_made = ("why", "zl_training_prod_allhistory_1w", "target_1w", "--date", "2023-08-30", "--symbol", "ZL")
    told = cbi(world.path, *never_made)
    assert (told.exit_code, "held back from training.zl_training_prod_allhistory_1w" in told.output) == (1, True)


def test_nobody_waits_for_the_warehouse_while_something_is_tried(world: World) -> None:
    tries: list[int] = []
    opened = f"import duckdb; duckdb.connect({str(Home(world.path).warehouse_file)!r})"

    def tried() -> None:
        """Another process opens the warehouse to write, which fails where this one has it open."""
        tries.append(0 if tries else subprocess.run([sys.executable, "-c", opened], check=False).returncode)

    why(world.platform, table("technicals_daily"), "sma_20", DAY, ZL, tried=tried)
    assert len(tries) > 5
    assert set(tries) == {0}


def test_where_each_trial_takes_long_what_matters_is_told_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiments, "_PATIENCE_S", 0.0)
    answer = asked(world, "technicals_daily", "sma_20")
    assert not answer.apart
    assert {"adj_close", "adj_factor"} < {*answer.inputs[0].columns}


def test_one_row_must_be_meant(world: World) -> None:
    with pytest.raises(NoSuchRowError) as error:
        why(world.platform, table("mes_1hr"), "sma_5b", DAY, {"symbol": "MES"})
    (first, *_) = error.value.choices
    stamp = first["bar_close_ts"]
    answer = why(world.platform, table("mes_1hr"), "sma_5b", DAY, {"symbol": "MES", "bar_close_ts": stamp})
    assert str(answer.key["bar_close_ts"]) == stamp


def test_the_command_tells_it_in_words(world: World) -> None:
    told = cbi(world.path, "why", "biofuel_daily", "boho_spread", "--date", str(DAY), "--symbol", "ZL").output
    assert "Soybean oil in a gallon of biodiesel minus heating oil" in told
    assert "formula in cbi_dagster/features/biofuel.py" in told
    assert "landed in " in told
    told = cbi(world.path, "why", "daily_ml_matrix", "pivots_P", "--date", "2023-06-03", "--symbol", "ZL")
    assert told.exit_code == 1
    assert "weekend" in told.output
    told = cbi(world.path, "why", "daily_ml_matrix", "pivots.Q", "--date", str(DAY))
    assert (told.exit_code, "has no column pivots.Q; did you mean pivots." in told.output) == (1, True)
    told = cbi(world.path, "why", "mes_1hr", "sma_5b", "--date", str(DAY))
    assert (told.exit_code, "--key NAME=VALUE" in told.output) == (1, True)
