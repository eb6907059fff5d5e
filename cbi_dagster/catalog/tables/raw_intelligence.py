"""Sources other than futures bars, as landed."""

from __future__ import annotations

from cbi_dagster.catalog.columns import macro, pick, policy
from cbi_dagster.catalog.model import Read, Table
from cbi_dagster.catalog.partitioning import Daily
from cbi_dagster.catalog.spans import trade_dates_within

MACRO_SERIES = Table(
    dataset="raw_intelligence",
    name="macro_series",
    description="Vintages of macro series: every value with the instant it became public. A revision is one more row; "
    "of one vintage landed twice the later file wins. A vintage is in the partition of the trade date on which it is "
    "known first.",
    columns=pick(*macro.VINTAGES),
    key=macro.KEY,
    partitioning=Daily("trade_date_available"),
    layer="raw_intelligence",
    required=frozenset({"value", "unit", "series_source"}),
    cluster=("series_id",),
    reads=(Read("landing.macro", columns=macro.VINTAGES),),
    owners=("team:market-data",),
)

POLICY_POSTS = Table(
    dataset="raw_intelligence",
    name="policy_posts",
    description="Posts and notices of policy as landed, each once: of what several files state of a post the last "
    "holds, and a text that is known stays known. A post is in the partition of the trade date on which it is known "
    "first.",
    columns=pick(*policy.POSTS),
    key=("post_id",),
    partitioning=Daily("trade_date_available"),
    layer="raw_intelligence",
    required=frozenset({"post_source", "published_at", "is_published_time_known", "post_kind"}),
    cluster=("post_source",),
    reads=(Read("landing.posts", columns=policy.POSTS),),
    owners=("team:market-data",),
)
POLICY_COVERAGE = Table(
    dataset="raw_intelligence",
    name="policy_coverage",
    description="Of which times the posts of a source are known, and whether what they say is. A span ends at each "
    "decision time (13:20 Chicago) and is in the partition of that trade date; what no row covers is not known.",
    columns=pick(*policy.COVERAGE),
    key=("post_source", "covers_text", "covered_from"),
    partitioning=Daily("trade_date_available"),
    layer="raw_intelligence",
    required=frozenset({"covered_to"}),
    cluster=("post_source",),
    reads=(Read("landing.posts_coverage", columns=policy.COVERAGE),),
    owners=("team:market-data",),
)
POLICY_EVENTS = Table(
    dataset="raw_intelligence",
    name="policy_events",
    description="Posts without duplicates, with what they are about, which way they point for soybean oil, and how "
    "much they count before they age. Scores of posts of which only the time is known are NULL.",
    columns=pick(*policy.EVENTS),
    key=("post_id",),
    partitioning=Daily("trade_date_available"),
    layer="raw_intelligence",
    required=frozenset({"post_source", "published_at", "is_published_time_known", "post_kind"}),
    cluster=("post_source", "topic"),
    # The posts that it may repeat, and those of the hours before them.
    reads=(Read(POLICY_POSTS.id, trade_dates_within(policy.DUPLICATE_DAYS) + 1, columns=policy.POSTS),),
)
