"""What posts make probable, what it would do to soybean oil, and how far either can be trusted."""

from __future__ import annotations

from cbi_dagster.catalog.columns import macro, pick, predictions
from cbi_dagster.catalog.model import Read, RowCheck, Table, ordered
from cbi_dagster.catalog.partitioning import INCEPTION, Daily
from cbi_dagster.catalog.spans import span_limit, trade_dates_within
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D
from cbi_dagster.catalog.tables.raw_intelligence import MACRO_SERIES, POLICY_COVERAGE, POLICY_EVENTS
from cbi_dagster.config.policy_actions import load_policy_actions


def _predictions(
    name: str,
    description: str,
    columns: tuple[str, ...],
    key: tuple[str, ...],
    required: set[str],
    *reads: Read,
    row_checks: tuple[RowCheck, ...] = (),
) -> Table:
    return Table(
        dataset="predictions",
        name=name,
        description=description,
        columns=pick(*columns),
        key=key,
        partitioning=Daily("date"),
        layer="predictions",
        required=frozenset(required),
        cluster=("action",) if "action" in key else ("subject",),
        reads=reads,
        row_checks=row_checks,
    )


TRUMP_ACTION_DAILY = _predictions(
    "trump_action_daily",
    "How probable the posts of the last seven days make each of seven policy actions, as of 13:20 Chicago, on every "
    "trade date of ZL or MES: by an expert rule that is calibrated on nothing.",
    predictions.TRUMP_ACTION,
    ("date", "action"),
    {"action_status", "timing", "horizon_hours", "text_coverage_24h"},
    # The session before D, since which posts are new.
    Read(FUTURES_CONTINUOUS_1D.id, span_limit(2), columns=predictions.SESSION_INPUTS, symbols=("ZL", "MES")),
    Read(
        POLICY_EVENTS.id,
        trade_dates_within(predictions.WINDOW_DAYS),
        columns=predictions.EVENT_INPUTS,
        looked_up=True,
    ),
    # A span ends at each decision time: those of the 24 hours before it are the date's own.
    Read(POLICY_COVERAGE.id, columns=predictions.COVERAGE_INPUTS, looked_up=True),
)
POLICY_EVENT_STUDY = _predictions(
    "policy_event_study",
    "How adjusted soybean oil moved after posts that state an action or are about a topic, from the decision price "
    "after them over 1, 2 and 5 sessions. Studied anew at the first session of every month, from moves that had ended "
    "by then: the study of a date is known on it.",
    predictions.POLICY_EVENT_STUDY,
    ("date", "subject_kind", "subject", "horizon"),
    {"event_days", "independent_windows", "move_support"},
    Read(FUTURES_CONTINUOUS_1D.id, INCEPTION, columns=predictions.STUDY_PRICE_INPUTS, symbols=("ZL",)),
    Read(TRUMP_ACTION_DAILY.id, INCEPTION, columns=predictions.STUDY_ACTION_INPUTS),
    Read(POLICY_EVENTS.id, INCEPTION, columns=predictions.STUDY_EVENT_INPUTS, looked_up=True),
    row_checks=(
        ordered("independent_windows", "event_days"),
        ordered("mean_move_low", "mean_move", "mean_move_high"),
        ordered("p_value", "p_value_adjusted"),
    ),
)
POLICY_ACTION_CALIBRATION = _predictions(
    "policy_action_calibration",
    "How the rule's probabilities fared in the calendar year before, against the base rate and a logistic regression "
    "that know the years before it only. Dated with the first session of the next year.",
    predictions.POLICY_ACTION_CALIBRATION,
    ("date", "action"),
    {"held_out_year", "held_out_days", "stated_days", "tested_years", "rule_better_years", "probability_support"},
    Read(TRUMP_ACTION_DAILY.id, INCEPTION, columns=predictions.CALIBRATION_INPUTS),
    # The dates that are wanted: on all but one a year there is nothing to fit.
    Read(FUTURES_CONTINUOUS_1D.id, columns=predictions.SESSION_INPUTS, symbols=("ZL", "MES")),
    row_checks=(ordered("rule_better_years", "tested_years"), ordered("stated_days", "held_out_days")),
)
ZL_IMPACT_DAILY = _predictions(
    "zl_impact_daily",
    "What each policy action is expected to do to soybean oil if it comes: an expert prior, modified by what is known "
    "of volatility, harvest, stocks and Argentina, with how far the past supports it and a text for a buyer.",
    predictions.ZL_IMPACT,
    ("date", "action"),
    {"impact_status", "probability_support"},
    Read(TRUMP_ACTION_DAILY.id, columns=predictions.IMPACT_ACTION_INPUTS),
    Read(FUTURES_CONTINUOUS_1D.id, columns=predictions.IMPACT_PRICE_INPUTS, symbols=("ZL",)),
    Read(
        MACRO_SERIES.id,
        trade_dates_within(max(load_policy_actions().max_staleness_days.values())),
        columns=macro.VINTAGES,
        looked_up=True,
    ),
    Read(POLICY_EVENT_STUDY.id, predictions.STUDY_TRADE_DATES, columns=predictions.IMPACT_STUDY_INPUTS),
    Read(
        POLICY_ACTION_CALIBRATION.id,
        predictions.CALIBRATION_TRADE_DATES,
        columns=predictions.IMPACT_CALIBRATION_INPUTS,
    ),
    row_checks=(
        ordered("best_price", "expected_price", "worst_price"),
        ordered("modifier_low", "modifier", "modifier_high"),
    ),
)
