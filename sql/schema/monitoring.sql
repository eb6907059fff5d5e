-- Generated from cbi_dagster/catalog by `make generate`. Do not edit.

CREATE TABLE IF NOT EXISTS `monitoring.model_performance` (
  `date` DATE NOT NULL OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours; on holidays that are traded without a settlement the next business day.'),
  `symbol` STRING NOT NULL OPTIONS(description='Market: the root for the platform\'s continuous series, else the vendor\'s symbol.'),
  `target_horizon` STRING NOT NULL OPTIONS(description='The horizon of the target, by the name that training tables have.'),
  `model` STRING NOT NULL OPTIONS(description='quantile_forest: the baseline that learns from features; past_returns: the quantiles of all returns that it learned from; no_change: a return of zero.'),
  `scored_regime` STRING NOT NULL OPTIONS(description='The regime in force when the forecasts were made; `all` for all of them.'),
  `scored_forecasts` INT64 NOT NULL OPTIONS(description='Forecasts whose target had come before the row\'s date. [forecasts]'),
  `mean_absolute_error` FLOAT64 NOT NULL OPTIONS(description='Mean of |return - forecast_p50|. [fraction]'),
  `root_mean_squared_error` FLOAT64 NOT NULL OPTIONS(description='Root of the mean of (return - forecast_p50)^2. [fraction]'),
  `mean_absolute_percentage_error` FLOAT64 OPTIONS(description='Mean of |price - forecast_price_p50| / price. [fraction]'),
  `r_squared` FLOAT64 OPTIONS(description='1 - squared errors over those of the mean of the returns that came.'),
  `directional_accuracy` FLOAT64 OPTIONS(description='Share of forecasts other than 0 whose sign the return had; NULL where all are 0. [fraction]'),
  `interval_coverage` FLOAT64 OPTIONS(description='Share of returns within forecast_p10 … forecast_p90; 0.8 is meant. NULL where a forecast states no quantiles. [fraction]'),
  `pinball_loss` FLOAT64 OPTIONS(description='Mean pinball loss over the three quantiles; NULL where a forecast does not state them. [fraction]'),
  `error_over_no_change` FLOAT64 OPTIONS(description='mean_absolute_error over that of no_change on the same forecasts; below 1 is better. [ratio]'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `date`
CLUSTER BY `target_horizon`, `model`
OPTIONS(description='How the forecasts fared whose targets had come, at the first session of every month, over all of them and by the regime in which they were made.');
