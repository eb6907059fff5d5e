-- Soybean oil over its history with what presses on it, and the return over the next 21 sessions where it is known: one row per session.
-- Generated from cbi_dagster/catalog by `make generate`. Do not edit.
WITH known AS (
  SELECT price.date, macro.series_id, macro.value
  FROM market_data.futures_continuous_1d AS price
  JOIN raw_intelligence.macro_series AS macro
    ON macro.trade_date_available BETWEEN price.date - 10 AND price.date
  WHERE price.symbol = 'ZL' AND macro.series_id IN ('VIX', 'DGS10')
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
  matrix.biofuel.board_crush AS board_crush,
  matrix.biofuel.oil_share AS oil_share,
  matrix.biofuel.boho_spread AS boho_spread,
  matrix.fx.strength_index AS fx_strength_index,
  macro.vix,
  macro.ten_year_yield,
  matrix.regime_name AS regime,
  matrix.policy.trump_score_signed AS policy_score,
  matrix.policy.trump_confidence AS confidence,
  matrix.timestamp AS as_of,
  label.target_date,
  label.target_1m
FROM market_data.futures_continuous_1d AS price
LEFT JOIN features.daily_ml_matrix AS matrix ON matrix.symbol = price.symbol AND matrix.data_date = price.date
LEFT JOIN macro ON macro.date = price.date
LEFT JOIN training.zl_training_prod_allhistory_1m AS label ON label.symbol = price.symbol AND label.data_date = price.date
WHERE price.symbol = 'ZL'
