-- Generated from cbi_dagster/catalog by `make generate`. Do not edit.

CREATE TABLE IF NOT EXISTS `raw_intelligence.macro_series` (
  `series_id` STRING NOT NULL OPTIONS(description='Macro series, e.g. SB.'),
  `reference_date` DATE NOT NULL OPTIONS(description='Day, or first day of the period, that the value describes (calendar date, any weekday).'),
  `value` FLOAT64 NOT NULL OPTIONS(description='Value of the series in `unit`. [see unit]'),
  `available_at` TIMESTAMP NOT NULL OPTIONS(description='When this vintage of the value became public (UTC).'),
  `unit` STRING NOT NULL OPTIONS(description='Unit of the value, the same in all rows of a series.'),
  `series_source` STRING NOT NULL OPTIONS(description='Who published the value.'),
  `trade_date_available` DATE NOT NULL OPTIONS(description='First trade date at whose decision time (13:20 America/Chicago) the vintage, the post or the span is known.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `trade_date_available`
CLUSTER BY `series_id`
OPTIONS(description='Vintages of macro series: every value with the instant it became public. A revision is one more row; of one vintage landed twice the later file wins. A vintage is in the partition of the trade date on which it is known first.');

CREATE TABLE IF NOT EXISTS `raw_intelligence.policy_posts` (
  `trade_date_available` DATE NOT NULL OPTIONS(description='First trade date at whose decision time (13:20 America/Chicago) the vintage, the post or the span is known.'),
  `post_source` STRING NOT NULL OPTIONS(description='Who publishes: a platform or an office, e.g. truth_social, white_house.'),
  `post_id` STRING NOT NULL OPTIONS(description='Identity of a post: its source, and a digest of its URL or of what it says and when.'),
  `published_at` TIMESTAMP NOT NULL OPTIONS(description='When the post was published, or the latest it can have been (UTC).'),
  `is_published_time_known` BOOL NOT NULL OPTIONS(description='Whether `published_at` is when it was published; else it is the end of the day stated, or when it was found.'),
  `author` STRING OPTIONS(description='Account or office that wrote the post, as stated.'),
  `text` STRING OPTIONS(description='What the post says, repaired and without markup; NULL where only its time is known.'),
  `url` STRING OPTIONS(description='Where the post is.'),
  `language` STRING OPTIONS(description='Language of the text, as stated (BCP 47, e.g. en).'),
  `post_kind` STRING NOT NULL OPTIONS(description='Whether the words are the author\'s own.'),
  `likes` INT64 OPTIONS(description='Likes when the post was last stated. [likes]'),
  `reposts` INT64 OPTIONS(description='Reposts when the post was last stated. [reposts]'),
  `replies` INT64 OPTIONS(description='Replies when the post was last stated. [replies]'),
  `source_file` STRING OPTIONS(description='Name of the landed file the bar came from; not part of the row\'s content.'),
  `source_row` INT64 OPTIONS(description='Row (0-based) in that file; not part of the row\'s content.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `trade_date_available`
CLUSTER BY `post_source`
OPTIONS(description='Posts and notices of policy as landed, each once: of what several files state of a post the last holds, and a text that is known stays known. A post is in the partition of the trade date on which it is known first.');

CREATE TABLE IF NOT EXISTS `raw_intelligence.policy_coverage` (
  `trade_date_available` DATE NOT NULL OPTIONS(description='First trade date at whose decision time (13:20 America/Chicago) the vintage, the post or the span is known.'),
  `post_source` STRING NOT NULL OPTIONS(description='Who publishes: a platform or an office, e.g. truth_social, white_house.'),
  `covers_text` BOOL NOT NULL OPTIONS(description='Whether it is known what the posts say; else only when they were published.'),
  `covered_from` TIMESTAMP NOT NULL OPTIONS(description='Start of a time of which the posts of a source are known (UTC, exclusive).'),
  `covered_to` TIMESTAMP NOT NULL OPTIONS(description='End of a time of which the posts of a source are known (UTC, inclusive).'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `trade_date_available`
CLUSTER BY `post_source`
OPTIONS(description='Of which times the posts of a source are known, and whether what they say is. A span ends at each decision time (13:20 Chicago) and is in the partition of that trade date; what no row covers is not known.');

CREATE TABLE IF NOT EXISTS `raw_intelligence.policy_events` (
  `trade_date_available` DATE NOT NULL OPTIONS(description='First trade date at whose decision time (13:20 America/Chicago) the vintage, the post or the span is known.'),
  `post_source` STRING NOT NULL OPTIONS(description='Who publishes: a platform or an office, e.g. truth_social, white_house.'),
  `post_id` STRING NOT NULL OPTIONS(description='Identity of a post: its source, and a digest of its URL or of what it says and when.'),
  `published_at` TIMESTAMP NOT NULL OPTIONS(description='When the post was published, or the latest it can have been (UTC).'),
  `is_published_time_known` BOOL NOT NULL OPTIONS(description='Whether `published_at` is when it was published; else it is the end of the day stated, or when it was found.'),
  `author` STRING OPTIONS(description='Account or office that wrote the post, as stated.'),
  `text` STRING OPTIONS(description='What the post says, repaired and without markup; NULL where only its time is known.'),
  `url` STRING OPTIONS(description='Where the post is.'),
  `language` STRING OPTIONS(description='Language of the text, as stated (BCP 47, e.g. en).'),
  `post_kind` STRING NOT NULL OPTIONS(description='Whether the words are the author\'s own.'),
  `likes` INT64 OPTIONS(description='Likes when the post was last stated. [likes]'),
  `reposts` INT64 OPTIONS(description='Reposts when the post was last stated. [reposts]'),
  `replies` INT64 OPTIONS(description='Replies when the post was last stated. [replies]'),
  `source_confidence` FLOAT64 OPTIONS(description='How far the source is believed (policy.yaml). [fraction]'),
  `topic` STRING OPTIONS(description='What the text is about: of the topics that it names that of the highest multiplier.'),
  `topic_multiplier` FLOAT64 OPTIONS(description='Weight of the topic (policy.yaml). [fraction]'),
  `entities` STRING OPTIONS(description='Whom and what the text names, in alphabetical order, separated by commas; NULL where it names nobody and nothing.'),
  `mentions_trump` BOOL OPTIONS(description='Whether the text names Trump, or is his own.'),
  `mentions_xi` BOOL OPTIONS(description='Whether the text names Xi Jinping.'),
  `mentions_china` BOOL OPTIONS(description='Whether the text names China.'),
  `mentions_soy` BOOL OPTIONS(description='Whether the text names soybeans or their products.'),
  `mentions_tariff` BOOL OPTIONS(description='Whether the text names tariffs, duties or levies.'),
  `bullish_terms` INT64 OPTIONS(description='Different terms of the text that are bullish for soybean oil. [terms]'),
  `bearish_terms` INT64 OPTIONS(description='Different terms of the text that are bearish for soybean oil. [terms]'),
  `sentiment_score` FLOAT64 OPTIONS(description='(bullish_terms - bearish_terms) / (bullish_terms + bearish_terms + 1); a negated term counts on the other side. [-1..1]'),
  `tariff_intensity` FLOAT64 OPTIONS(description='100 tanh(tariff score / 50) of the text\'s own tariff terms. [0..100]'),
  `frequency_penalty` FLOAT64 OPTIONS(description='0.8 if at least 3 events of the same source and topic were published in the 3 h before, else 1. [fraction]'),
  `event_score` FLOAT64 OPTIONS(description='source_confidence x topic_multiplier x |sentiment_score| x frequency_penalty, before recency decay; NULL without text. [fraction]'),
  `event_score_signed` FLOAT64 OPTIONS(description='event_score with the sign of sentiment_score. [fraction]'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `trade_date_available`
CLUSTER BY `post_source`, `topic`
OPTIONS(description='Posts without duplicates, with what they are about, which way they point for soybean oil, and how much they count before they age. Scores of posts of which only the time is known are NULL.');
