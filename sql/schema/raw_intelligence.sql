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
