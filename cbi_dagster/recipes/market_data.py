"""Landed bars, session bars and the continuous series."""

from __future__ import annotations

import pandas as pd

from cbi_dagster.catalog.tables.market_data import (
    BARS_AT_DECISION,
    CRUSH_LEGS_1D,
    DATABENTO_CONDITIONS,
    FUTURES_CONTINUOUS_1D,
    FUTURES_CURVE_1D,
    FUTURES_DECISION_1D,
    FUTURES_EOD,
    FUTURES_STATISTICS,
    INSTRUMENTS,
    OHLCV_1D,
    OHLCV_1H,
    OHLCV_1M,
    OHLCV_UTC_1D,
    ROLL_CALENDAR,
    SETTLEMENTS_1D,
)
from cbi_dagster.config.universe import load_universe
from cbi_dagster.market import contracts
from cbi_dagster.market.bars import held_back_counts, quarantine_rows, session_bars
from cbi_dagster.market.crush import crush_legs
from cbi_dagster.market.decision import bars_at_decision
from cbi_dagster.market.rolls import continuous, front_at_decision
from cbi_dagster.market.settlements import quarantine_rows as late_rows
from cbi_dagster.market.settlements import settlements, with_settlements
from cbi_dagster.recipes.recipe import TableOutput, recipe


@recipe(OHLCV_1M)
def databento_futures_ohlcv_1m(ohlcv_1m: pd.DataFrame) -> pd.DataFrame:
    return ohlcv_1m


@recipe(OHLCV_1H)
def databento_futures_ohlcv_1h(ohlcv_1h: pd.DataFrame) -> pd.DataFrame:
    return ohlcv_1h


@recipe(OHLCV_UTC_1D)
def databento_futures_ohlcv_utc_1d(ohlcv_1d: pd.DataFrame) -> pd.DataFrame:
    return ohlcv_1d


@recipe(FUTURES_STATISTICS)
def databento_futures_statistics(statistics: pd.DataFrame) -> pd.DataFrame:
    return statistics


@recipe(INSTRUMENTS)
def instruments(definition: pd.DataFrame) -> pd.DataFrame:
    return definition


@recipe(DATABENTO_CONDITIONS)
def databento_conditions(conditions: pd.DataFrame) -> pd.DataFrame:
    return conditions


@recipe(FUTURES_EOD)
def futures_eod(futures_eod: pd.DataFrame) -> pd.DataFrame:
    return futures_eod


@recipe(SETTLEMENTS_1D)
def settlements_1d(databento_futures_statistics: pd.DataFrame) -> TableOutput:
    found = settlements(databento_futures_statistics)
    return TableOutput(found.rows, late_rows(found.late), held_back_counts(found.rows.iloc[:0]))


@recipe(OHLCV_1D)
def databento_futures_ohlcv_1d(
    databento_futures_ohlcv_1m: pd.DataFrame,
    databento_futures_ohlcv_1h: pd.DataFrame,
    databento_futures_ohlcv_utc_1d: pd.DataFrame,
    databento_conditions: pd.DataFrame,
    settlements_1d: pd.DataFrame,
    instruments: pd.DataFrame,
) -> TableOutput:
    built = session_bars(
        {
            "ohlcv-1m": databento_futures_ohlcv_1m,
            "ohlcv-1h": databento_futures_ohlcv_1h,
            "ohlcv-1d": databento_futures_ohlcv_utc_1d,
        },
        databento_conditions,
        load_universe(),
    )
    rejected = quarantine_rows(built.rejected).assign(file_hash="")
    named = built.sessions.assign(contract=contracts.contract_names(built.sessions, instruments))
    sessions = with_settlements(named, settlements_1d)
    return TableOutput(sessions, rejected, held_back_counts(built.held_back))


@recipe(FUTURES_CONTINUOUS_1D)
def futures_continuous_1d(databento_futures_ohlcv_1d: pd.DataFrame) -> pd.DataFrame:
    return continuous(databento_futures_ohlcv_1d, load_universe())


@recipe(BARS_AT_DECISION)
def databento_futures_decision_1d(
    databento_futures_ohlcv_1m: pd.DataFrame, databento_futures_ohlcv_1h: pd.DataFrame
) -> pd.DataFrame:
    bars = {"ohlcv-1m": databento_futures_ohlcv_1m, "ohlcv-1h": databento_futures_ohlcv_1h}
    return bars_at_decision(bars, load_universe())


@recipe(FUTURES_DECISION_1D)
def futures_decision_1d(
    databento_futures_decision_1d: pd.DataFrame, databento_futures_ohlcv_1d: pd.DataFrame
) -> pd.DataFrame:
    return front_at_decision(databento_futures_decision_1d, databento_futures_ohlcv_1d, load_universe())


@recipe(CRUSH_LEGS_1D)
def crush_legs_1d(futures_continuous_1d: pd.DataFrame, databento_futures_ohlcv_1d: pd.DataFrame) -> pd.DataFrame:
    return crush_legs(futures_continuous_1d, databento_futures_ohlcv_1d)


@recipe(ROLL_CALENDAR)
def roll_calendar(futures_continuous_1d: pd.DataFrame, instruments: pd.DataFrame) -> pd.DataFrame:
    return contracts.roll_calendar(futures_continuous_1d, instruments, load_universe())


@recipe(FUTURES_CURVE_1D)
def futures_curve_1d(
    databento_futures_ohlcv_1d: pd.DataFrame, settlements_1d: pd.DataFrame, instruments: pd.DataFrame
) -> pd.DataFrame:
    return contracts.futures_curve(databento_futures_ohlcv_1d, settlements_1d, instruments)
