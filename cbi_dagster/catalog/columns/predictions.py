"""What posts make probable, what it would do to soybean oil, and how far either can be trusted.

Every probability and every expected move is an expert prior (`policy_actions.yaml`), calibrated on nothing.
"""

from __future__ import annotations

from cbi_dagster.catalog.model import Column, Type, names
from cbi_dagster.catalog.spans import MOST_TRADE_DATES, span_limit
from cbi_dagster.config.policy_actions import ACTIONS, MODIFIERS

_S, _I, _F, _B, _D = Type.STRING, Type.INT64, Type.FLOAT64, Type.BOOL, Type.DATE

WINDOW_DAYS = 7
"""Calendar days of posts that a probability looks back on."""
TRIGGER_POSTS = 3
"""Posts that are named behind a probability."""
HORIZONS = (1, 2, 5)
"""Sessions after the decision price over which moves are studied."""
STUDY_TRADE_DATES = MOST_TRADE_DATES[1] + span_limit(2)
"""Trade dates from the first session of a month to the last one before that of the next month, at most."""
CALIBRATION_TRADE_DATES = MOST_TRADE_DATES[12] + span_limit(2)
"""The same of years."""
MODIFIER_COLUMNS = dict(
    zip(MODIFIERS, ("vix", "harvest_progress", "inventory_rank", "argentina_discount"), strict=True)
)
"""The columns that hold the values of the modifiers."""

_RAW = (
    Column("posts_24h", _I, "Social posts of the 24 h to the decision time.", "posts", ge=0),
    Column("posts_per_day_7d", _F, "Social posts of the 7 days to the decision time, over 7.", "posts/day", ge=0),
    Column("posts_acceleration", _F, "posts_24h - posts_per_day_7d.", "posts/day"),
    Column("night_share_7d", _F, "Share of 7 days' social posts from 0:00 to 4:59 New York.", "fraction", ge=0, le=1),
    Column("early_share_7d", _F, "Share of 7 days' social posts from 5:00 to 8:59 New York.", "fraction", ge=0, le=1),
    Column("hours_share_7d", _F, "Share of 7 days' social posts from 9:00 to 15:59 New York.", "fraction", ge=0, le=1),
    Column("exclamations_per_1000", _F, "Exclamation marks per 1000 characters of the texts of 7 days.", "marks", ge=0),
    Column("caps_share", _F, "Share of capitals in the letters of the texts of 7 days.", "fraction", ge=0, le=1),
    Column(
        "threat_rate",
        _F,
        "Points for tariffs, retaliation, taxes, China and unfairness, decayed by exp(-hours/24).",
        "points/day",
        ge=0,
    ),
    Column("signal_rate", _F, "Posts that say something is coming, decayed by exp(-hours/24).", "posts/day", ge=0),
    Column("post_rate", _F, "Social posts, decayed by exp(-hours/24).", "posts/day", ge=0),
)
"""The same in all rows of a date. Likes and reposts are no part: they are known as of their collection only."""

_ACTION = (
    Column("action", _S, "What may be done.", isin=ACTIONS),
    Column(
        "action_status",
        _S,
        "ok; rate_only: the posts are counted but what they say is unknown; no_coverage: no source covers the 24 h to "
        "the decision time.",
        isin=("ok", "rate_only", "no_coverage"),
    ),
    Column(
        "probability",
        _F,
        "Probability by the expert rule that a post states the action within horizon_hours: the rule's curve at "
        "driver_rate. Not calibrated: predictions.policy_action_calibration says how it fared.",
        "fraction",
        ge=0,
        le=1,
    ),
    Column("driver_rate", _F, "What the rule makes the probability of.", "points/day", ge=0),
    Column(
        "top_action",
        _S,
        "The date's most probable action; none where all are 0, NULL where one is unknown.",
        isin=(*ACTIONS, "none"),
    ),
    Column("timing", _S, "When the action is to be expected if it comes, in words."),
    Column("horizon_hours", _I, "Hours after the decision time that the probability is for.", "hours", ge=1),
    Column(
        "risk_score",
        _F,
        "30 min(post_rate/10, 1) + 40 min(threat_rate/20, 1) + 30 min(signal_rate/10, 1).",
        "0..100",
        ge=0,
        le=100,
    ),
    Column(
        "risk_level",
        _S,
        "LOW below a risk_score of 25, MODERATE below 50, HIGH below 75, else EXTREME.",
        isin=("LOW", "MODERATE", "HIGH", "EXTREME"),
    ),
    Column("trigger_terms", _S, "Groups of terms behind driver_rate with their points a day, largest first."),
    Column("trigger_post_ids", _S, "The 3 posts that add most to driver_rate, by post_id, separated by commas."),
    Column("trigger_excerpt", _S, "How the first of them begins (up to 140 characters)."),
    Column(
        "stated_posts",
        _I,
        "Posts since the decision time of the session before that state the action; of a storm whether there is one.",
        "posts",
        ge=0,
    ),
    Column(
        "text_coverage_24h",
        _F,
        "Share of the 24 h to the decision time in which the texts of a source are known.",
        "fraction",
        ge=0,
        le=1,
    ),
)

_SUPPORT = ("untested", "none", "contradicted", "supported")
_STUDY = (
    Column("subject_kind", _S, "Whether `subject` is an action or a topic of posts.", isin=("action", "topic")),
    Column("subject", _S, "An action, or a topic (policy.yaml)."),
    Column(
        "horizon",
        _I,
        "Sessions from the first decision price after the posts to the end of the move.",
        "sessions",
        ge=1,
    ),
    Column(
        "event_days",
        _I,
        "Sessions at whose decision time such posts were new, as far as their move is known.",
        "sessions",
        ge=0,
    ),
    Column(
        "independent_windows",
        _I,
        "Those of them that are counted: none begins before the window of the one before has ended.",
        "windows",
        ge=0,
    ),
    Column("mean_move", _F, "Mean move of adjusted soybean oil over the counted windows.", "fraction"),
    Column("mean_move_low", _F, "Lower end of the 95 % interval of mean_move (Student).", "fraction"),
    Column("mean_move_high", _F, "Upper end of the 95 % interval of mean_move (Student).", "fraction"),
    Column("base_move", _F, "Mean move over as many sessions from every session that posts cover.", "fraction"),
    Column("rising_share", _F, "Share of the counted windows in which the price rose.", "fraction", ge=0, le=1),
    Column("base_rising_share", _F, "Share of all such windows in which the price rose.", "fraction", ge=0, le=1),
    Column(
        "p_value",
        _F,
        "Two-sided, of mean_move being base_move; NULL with fewer than 20 windows.",
        "fraction",
        ge=0,
        le=1,
    ),
    Column(
        "p_value_adjusted", _F, "p_value by Holm over all subjects and horizons of the date.", "fraction", ge=0, le=1
    ),
    Column(
        "prior_move", _F, "Expected move of the expert prior; NULL for topics and where no prior is stated.", "fraction"
    ),
    Column(
        "move_support",
        _S,
        "untested: fewer than 20 windows or no prior; none: p_value_adjusted above 0.05; else whether mean_move - "
        "base_move has the sign of prior_move.",
        isin=_SUPPORT,
    ),
)

_UNTESTED = (
    "NULL for a year that is not tested: fewer than 250 sessions before it, or fewer than 10 of them that were "
    "followed by the action, or that were not"
)
_CALIBRATION = (
    Column("held_out_year", _I, "Calendar year that is predicted by what was known before it.", "", ge=2000),
    Column("held_out_days", _I, "Sessions of the year with a probability whose horizon has passed.", "sessions", ge=0),
    Column("stated_days", _I, "Those of them after which the action was stated within its horizon.", "sessions", ge=0),
    Column(
        "prior_rate",
        _F,
        f"Share of such sessions in all years before: the base rate; {_UNTESTED}.",
        "fraction",
        ge=0,
        le=1,
    ),
    Column("brier_base_rate", _F, f"Mean squared error of prior_rate as a prediction; {_UNTESTED}.", "", ge=0, le=1),
    Column("brier_rule", _F, f"Mean squared error of `probability`; {_UNTESTED}.", "", ge=0, le=1),
    Column(
        "brier_logistic",
        _F,
        f"Mean squared error of a logistic regression on the raw features, fitted to the years before; {_UNTESTED}.",
        "",
        ge=0,
        le=1,
    ),
    Column("tested_years", _I, "Held-out years so far, this one included.", "years", ge=0),
    Column("rule_better_years", _I, "Those of them in which brier_rule is below brier_base_rate.", "years", ge=0),
    Column(
        "probability_support",
        _S,
        "untested: fewer than 3 held-out years; supported: over all of them together the rule's error is at least 2 % "
        "below the base rate's, and below it in two years of three; contradicted: at least 2 % above; else none.",
        isin=_SUPPORT,
    ),
)

_IMPACT = (
    Column(
        "impact_status",
        _S,
        "ok; no_coverage: the probability is unknown; no_prior: no impact is stated for the action; inputs_missing: a "
        "modifier is unknown (`missing_inputs`), so that only bounds are known; no_price: soybean oil did not trade.",
        isin=("ok", "no_coverage", "no_prior", "inputs_missing", "no_price"),
    ),
    Column(
        "missing_inputs",
        _S,
        "Modifiers that matter to the action and are unknown, separated by commas; NULL where none is, and for an "
        "action without a prior.",
    ),
    Column("zl_price", _F, "Close of the soybean oil contract of the date, unadjusted.", "USc/lb", gt=0),
    Column(
        "impact_hours",
        _I,
        "Hours within which the move is expected if the action comes; NULL without a prior.",
        "hours",
        ge=1,
    ),
    Column(
        "move_confidence",
        _F,
        "How sure the expert prior calls itself: a judgement; NULL without a prior.",
        "fraction",
        ge=0,
        le=1,
    ),
    Column(
        "reliability",
        _S,
        "HIGH for a move_confidence above 0.75, MEDIUM above 0.60, else LOW; NULL without a prior.",
        isin=("HIGH", "MEDIUM", "LOW"),
    ),
    Column("vix", _F, "Volatility index as known at the decision time.", "index points", ge=0),
    Column(
        "harvest_progress",
        _F,
        "Share of the US soybean area that is harvested, as known at the decision time.",
        "fraction",
        ge=0,
        le=1,
    ),
    Column(
        "inventory_rank",
        _F,
        "Rank of soybean oil stocks among those of past months, as known at the decision time.",
        "fraction",
        ge=0,
        le=1,
    ),
    Column(
        "argentina_discount", _F, "Soybean oil FOB US Gulf minus FOB Argentina, as known at the decision time.", "USD/t"
    ),
    Column("modifier", _F, "Product of the modifiers; NULL if one is unknown.", "ratio", gt=0),
    Column("modifier_low", _F, "The lowest that `modifier` can be, given what is known.", "ratio", gt=0),
    Column("modifier_high", _F, "The highest that `modifier` can be, given what is known.", "ratio", gt=0),
    Column("expected_move", _F, "prior_move x modifier.", "fraction"),
    Column("expected_price", _F, "zl_price x (1 + expected_move).", "USc/lb"),
    Column(
        "best_price",
        _F,
        "The low end of the prior's range: best for a buyer. Over all that `modifier` can be.",
        "USc/lb",
    ),
    Column(
        "worst_price",
        _F,
        "The high end of the prior's range: worst for a buyer. Over all that `modifier` can be.",
        "USc/lb",
    ),
    Column(
        "expected_change_cwt", _F, "zl_price x expected_move; cents per pound are dollars per hundredweight.", "USD/cwt"
    ),
    Column(
        "urgency",
        _S,
        "URGENT for an expected move beyond 3 % with confidence above 0.75, HIGH beyond 2 % and 0.70, MODERATE beyond "
        "1 %, else LOW; NULL where what is unknown decides.",
        isin=("URGENT", "HIGH", "MODERATE", "LOW"),
    ),
    Column("alert", _B, "Whether probability exceeds 0.30 and urgency is HIGH or URGENT."),
    Column("study_date", _D, "The event study that the row knows: its date."),
    Column("buyer_text", _S, "What this may mean to a buyer, in probabilities and for both sides."),
)

COLUMNS = (*_RAW, *_ACTION, *_STUDY, *_CALIBRATION, *_IMPACT)

RAW_FEATURES = names(_RAW)
TRUMP_ACTION = (
    "date", "action", "action_status", "probability", "driver_rate", "top_action", "timing", "horizon_hours",
    "risk_score", "risk_level", "trigger_terms", "trigger_post_ids", "trigger_excerpt", "stated_posts",
    "text_coverage_24h", *RAW_FEATURES,
)  # fmt: skip
POLICY_EVENT_STUDY = ("date", *names(_STUDY))
POLICY_ACTION_CALIBRATION = ("date", "action", *names(_CALIBRATION))
ZL_IMPACT = (
    "date", "action", "probability", "impact_status", "missing_inputs", "zl_price", "prior_move", "impact_hours",
    "move_confidence", "reliability", "vix", "harvest_progress", "inventory_rank", "argentina_discount", "modifier",
    "modifier_low", "modifier_high", "expected_move", "expected_price", "best_price", "worst_price",
    "expected_change_cwt", "urgency", "alert", "study_date", "event_days", "independent_windows", "mean_move",
    "mean_move_low", "mean_move_high", "base_move", "move_support", "probability_support", "buyer_text",
)  # fmt: skip

SESSION_INPUTS = ("date", "symbol")
EVENT_INPUTS = ("trade_date_available", "post_source", "post_id", "published_at", "text", "post_kind")
COVERAGE_INPUTS = ("post_source", "covers_text", "covered_from", "covered_to")
STUDY_PRICE_INPUTS = ("date", "symbol", "adj_close", "session_quality")
STUDY_ACTION_INPUTS = ("date", "action", "probability", "stated_posts")
STUDY_EVENT_INPUTS = ("trade_date_available", "post_kind", "topic")
CALIBRATION_INPUTS = ("date", "action", "probability", "driver_rate", "stated_posts", *RAW_FEATURES)
IMPACT_ACTION_INPUTS = ("date", "action", "probability")
IMPACT_PRICE_INPUTS = ("date", "symbol", "close")
IMPACT_STUDY_INPUTS = (
    "date", "subject_kind", "subject", "horizon", "event_days", "independent_windows", "mean_move", "mean_move_low",
    "mean_move_high", "base_move", "move_support",
)  # fmt: skip
OVER_ACTIONS_INPUTS = ("date", "action", "probability", "prior_move", "expected_move", "alert")
IMPACT_CALIBRATION_INPUTS = ("date", "action", "probability_support")
