"""Policy events."""

from __future__ import annotations

from cbi_dagster.catalog.model import Column, Type

_I, _F, _B = Type.INT64, Type.FLOAT64, Type.BOOL

COLUMNS = (
    Column("trump_action_prob", _F, "Highest probability of any policy action.", "fraction", ge=0, le=1),
    Column("trump_expected_zl_move", _F, "Expected move of soybean oil over all actions.", "fraction", ge=-0.1, le=0.1),
    Column(
        "trump_score",
        _F,
        "1 - product of (1 - score) over the events of the last 72 h, decayed.",
        "fraction",
        ge=0,
        le=1,
    ),
    Column("trump_score_signed", _F, "Sum of signed event scores, clamped.", "fraction", ge=-1, le=1),
    Column("trump_confidence", _F, "Score-weighted mean source confidence.", "fraction", ge=0, le=1),
    Column("trump_sentiment_7d", _F, "Mean event sentiment of the last 7 calendar days.", "-1..1", ge=-1, le=1),
    Column("trump_tariff_intensity", _F, "100 tanh(tariff score / 50), the day's highest.", "0..100", ge=0, le=100),
    Column("trump_procurement_alert", _B, "Whether an action with probability above 0.30 is of high urgency."),
    Column("trump_mentions", _I, "Events of the last 24 h that mention Trump.", "events", ge=0),
    Column("trumpxi_china_mentions", _I, "Events of the last 24 h that mention China and Trump or Xi.", "events", ge=0),
    Column(
        "trumpxi_sentiment_volatility", _F, "Standard deviation of the sentiment of such events over 7 days.", "", ge=0
    ),
    Column("trumpxi_policy_impact", _F, "Mean signed score of such events of the last 24 h.", "fraction"),
    Column("trumpxi_volatility_30d_ma", _F, "30-calendar-day mean of trumpxi_sentiment_volatility.", "", ge=0),
    Column(
        "trump_soybean_sentiment_7d",
        _F,
        "7-day mean sentiment of events that name soy and Trump.",
        "-1..1",
        ge=-1,
        le=1,
    ),
    Column(
        "policy_trump_topic_multiplier", _F, "Topic multiplier of the highest-scored event.", "fraction", ge=0, le=1
    ),
    Column("policy_trump_recency_decay", _F, "exp(-hours since the latest scored event / 24).", "fraction", ge=0, le=1),
)
