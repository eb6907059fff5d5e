-- MES over its history with its last completed bar of 1d, and the return over the next 1 session where it is known: one row per session.
-- Generated from cbi_dagster/catalog by `make generate`. Do not edit.
WITH known AS (
  SELECT price.date, macro.series_id, macro.value
  FROM market_data.futures_continuous_1d AS price
  JOIN raw_intelligence.macro_series AS macro
    ON macro.trade_date_available BETWEEN price.date - 10 AND price.date
  WHERE price.symbol = 'MES' AND macro.series_id IN ('VIX', 'DGS10')
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY price.date, macro.series_id ORDER BY macro.reference_date DESC, macro.available_at DESC
  ) = 1
),
macro AS (
  SELECT
    date,
    MAX(IF(series_id = 'VIX', value, NULL)) AS vix,
    MAX(IF(series_id = 'DGS10', value, NULL)) AS ten_year_yield
  FROM known
  GROUP BY date
)
SELECT
  price.date,
  price.symbol,
  price.close AS price,
  price.volume,
  matrix.open_interest.oi_front_lag1,
  bars.bar_last_date_1d,
  bars.bar_open_1d,
  bars.bar_high_1d,
  bars.bar_low_1d,
  bars.bar_close_1d,
  bars.bar_ret_1d,
  bars.bar_position_1d,
  matrix.golden_zone.state AS golden_zone_state,
  matrix.regime.vol_percentile AS vol_percentile,
  macro.vix,
  macro.ten_year_yield,
  matrix.regime_name AS regime,
  matrix.timestamp AS as_of,
  label.target_date,
  label.target_1d
FROM market_data.futures_continuous_1d AS price
LEFT JOIN features.mes_horizons_daily AS bars ON bars.symbol = price.symbol AND bars.date = price.date
LEFT JOIN features.daily_ml_matrix AS matrix ON matrix.symbol = price.symbol AND matrix.data_date = price.date
LEFT JOIN macro ON macro.date = price.date
LEFT JOIN training.mes_training_prod_allhistory_1d AS label ON label.symbol = price.symbol AND label.data_date = price.date
WHERE price.symbol = 'MES'
