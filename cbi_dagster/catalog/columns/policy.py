"""Policy posts as they were landed, the scored events that are made of them, and the sixteen features of a trade date.

Ends of time windows are the row's decision time (13:20 America/Chicago of its trade date), inclusive; their beginnings
are exclusive. "The day" of a row is the time since the decision time of the symbol's previous session, at least 24
hours, so that weekends and holidays fold into the next trade date.
"""

from __future__ import annotations

from cbi_dagster.catalog.model import Column, Type, names

_S, _I, _F, _B, _T = Type.STRING, Type.INT64, Type.FLOAT64, Type.BOOL, Type.TIMESTAMP

DECAY_HOURS = 24
"""Hours after which an event counts 1/e."""
DAY_HOURS = 24
SCORE_HOURS = 72
SENTIMENT_DAYS = 7
MEAN_DAYS = 30
"""Calendar days."""
MIN_SPREAD_EVENTS = 3
"""Events without which no standard deviation is formed."""
DUPLICATE_DAYS = 7
"""How long after a post the same one, found anew, is still recognised."""

_POSTS = (
    Column("post_source", _S, "Who publishes: a platform or an office, e.g. truth_social, white_house."),
    Column("post_id", _S, "Identity of a post: its source, and a digest of its URL or of what it says and when."),
    Column("published_at", _T, "When the post was published, or the latest it can have been (UTC)."),
    Column(
        "is_published_time_known",
        _B,
        "Whether `published_at` is when it was published; else it is the end of the day stated, or when it was found.",
    ),
    Column("author", _S, "Account or office that wrote the post, as stated."),
    Column("text", _S, "What the post says, repaired and without markup; NULL where only its time is known."),
    Column("url", _S, "Where the post is."),
    Column("language", _S, "Language of the text, as stated (BCP 47, e.g. en)."),
    Column("post_kind", _S, "Whether the words are the author's own.", isin=("original", "repost")),
    Column("likes", _I, "Likes when the post was last stated.", "likes", ge=0),
    Column("reposts", _I, "Reposts when the post was last stated.", "reposts", ge=0),
    Column("replies", _I, "Replies when the post was last stated.", "replies", ge=0),
)

_SCORES = (
    Column("source_confidence", _F, "How far the source is believed (policy.yaml).", "fraction", ge=0, le=1),
    Column("topic", _S, "What the text is about: of the topics that it names that of the highest multiplier."),
    Column("topic_multiplier", _F, "Weight of the topic (policy.yaml).", "fraction", ge=0, le=1),
    Column(
        "entities",
        _S,
        "Whom and what the text names, in alphabetical order, separated by commas; NULL where it names nobody and "
        "nothing.",
    ),
    Column("mentions_trump", _B, "Whether the text names Trump, or is his own."),
    Column("mentions_xi", _B, "Whether the text names Xi Jinping."),
    Column("mentions_china", _B, "Whether the text names China."),
    Column("mentions_soy", _B, "Whether the text names soybeans or their products."),
    Column("mentions_tariff", _B, "Whether the text names tariffs, duties or levies."),
    Column("bullish_terms", _I, "Different terms of the text that are bullish for soybean oil.", "terms", ge=0),
    Column("bearish_terms", _I, "Different terms of the text that are bearish for soybean oil.", "terms", ge=0),
    Column(
        "sentiment_score",
        _F,
        "(bullish_terms - bearish_terms) / (bullish_terms + bearish_terms + 1); a negated term counts on the other "
        "side.",
        "-1..1",
        ge=-1,
        le=1,
    ),
    Column(
        "tariff_intensity", _F, "100 tanh(tariff score / 50) of the text's own tariff terms.", "0..100", ge=0, le=100
    ),
    Column(
        "frequency_penalty",
        _F,
        "0.8 if at least 3 events of the same source and topic were published in the 3 h before, else 1.",
        "fraction",
        ge=0,
        le=1,
    ),
    Column(
        "event_score",
        _F,
        "source_confidence x topic_multiplier x |sentiment_score| x frequency_penalty, before recency decay; NULL "
        "without text.",
        "fraction",
        ge=0,
        le=1,
    ),
    Column("event_score_signed", _F, "event_score with the sign of sentiment_score.", "fraction", ge=-1, le=1),
)

_COVERAGE = (
    Column("covered_from", _T, "Start of a time of which the posts of a source are known (UTC, exclusive)."),
    Column("covered_to", _T, "End of a time of which the posts of a source are known (UTC, inclusive)."),
    Column("covers_text", _B, "Whether it is known what the posts say; else only when they were published."),
)

FEATURES = (
    Column("trump_action_prob", _F, "Highest probability of any policy action.", "fraction", ge=0, le=1),
    Column("trump_expected_zl_move", _F, "Expected move of soybean oil over all actions.", "fraction", ge=-0.1, le=0.1),
    Column(
        "trump_score",
        _F,
        "1 - product of (1 - event_score x decay) over the events of the last 72 h; 0 when nothing was said.",
        "fraction",
        ge=0,
        le=1,
    ),
    Column(
        "trump_score_signed",
        _F,
        "Sum of event_score_signed x decay over the events of the last 72 h, clamped.",
        "fraction",
        ge=-1,
        le=1,
    ),
    Column(
        "trump_confidence",
        _F,
        "Mean source confidence over the events of the last 72 h, weighted with their decayed scores; NULL without a "
        "scored event.",
        "fraction",
        ge=0,
        le=1,
    ),
    Column(
        "trump_sentiment_7d",
        _F,
        "Mean sentiment_score of the events of the last 7 calendar days; NULL without any.",
        "-1..1",
        ge=-1,
        le=1,
    ),
    Column(
        "trump_tariff_intensity",
        _F,
        "Highest tariff_intensity of the day; 0 when nothing was said of tariffs.",
        "0..100",
        ge=0,
        le=100,
    ),
    Column("trump_procurement_alert", _B, "Whether an action with probability above 0.30 is of high urgency."),
    Column("trump_mentions", _I, "Events of the day that name Trump or are his own.", "events", ge=0),
    Column("trumpxi_china_mentions", _I, "Events of the day that name China, and Trump or Xi.", "events", ge=0),
    Column(
        "trumpxi_sentiment_volatility",
        _F,
        "Sample standard deviation of the sentiment_score of such events over 7 calendar days; NULL with fewer than 3.",
        "",
        ge=0,
    ),
    Column(
        "trumpxi_policy_impact",
        _F,
        "Mean of event_score_signed x decay of such events of the day; 0 without any.",
        "fraction",
        ge=-1,
        le=1,
    ),
    Column(
        "trumpxi_volatility_30d_ma",
        _F,
        "Mean of trumpxi_sentiment_volatility, as far as known, over the sessions of the last 30 calendar days.",
        "",
        ge=0,
    ),
    Column(
        "trump_soybean_sentiment_7d",
        _F,
        "Mean sentiment_score of the events of the last 7 calendar days that name soy, and Trump or are his own; NULL "
        "without any.",
        "-1..1",
        ge=-1,
        le=1,
    ),
    Column(
        "policy_trump_topic_multiplier",
        _F,
        "Topic multiplier of the event of the last 72 h with the highest decayed score, of equal ones the latest; NULL "
        "without a scored event.",
        "fraction",
        ge=0,
        le=1,
    ),
    Column(
        "policy_trump_recency_decay",
        _F,
        "exp(-hours since the latest scored event / 24); 0 without one in the last 7 calendar days.",
        "fraction",
        ge=0,
        le=1,
    ),
)
"""The sixteen of the matrix. All are NULL where no source's text covers any part of the day."""

_DAILY = (
    Column("policy_coverage", _B, "Whether the text of any source is known for any part of the day."),
    Column(
        "policy_coverage_share", _F, "Share of the day for which the text of any source is known.", "fraction", ge=0,
        le=1,
    ),
)  # fmt: skip

COLUMNS = (*_POSTS, *_SCORES, *_COVERAGE, *FEATURES, *_DAILY)

POSTS = ("trade_date_available", *names(_POSTS), "source_file", "source_row")
"""`raw_intelligence.policy_posts`, as landed."""
EVENTS = ("trade_date_available", *names(_POSTS), *names(_SCORES))
"""`raw_intelligence.policy_events`: posts without duplicates, scored."""
COVERAGE = ("trade_date_available", "post_source", "covers_text", "covered_from", "covered_to")
"""`raw_intelligence.policy_coverage`."""
DAILY = ("date", "symbol", *names(FEATURES), *names(_DAILY))
"""`features.policy_daily`."""

SYMBOLS = ("ZL", "MES")
"""The markets that have policy features."""
SESSION_INPUTS = ("date", "symbol")
PREDICTED = ("trump_action_prob", "trump_expected_zl_move", "trump_procurement_alert")
"""Those of the sixteen that are made of `predictions.zl_impact_daily`."""
DAILY_EVENT_INPUTS = (
    "published_at", "post_kind", "source_confidence", "topic_multiplier", "mentions_trump", "mentions_xi",
    "mentions_china", "mentions_soy", "sentiment_score", "tariff_intensity", "event_score", "event_score_signed",
)  # fmt: skip
COVERAGE_INPUTS = ("covers_text", "covered_from", "covered_to")
