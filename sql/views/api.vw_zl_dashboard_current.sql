-- The present of soybean oil on one line: price and change, regime, pivots, policy, biofuel, and the expected move of
-- the policy action that is the most probable one.
WITH sessions AS (
  SELECT
    date,
    symbol,
    contract,
    close AS price,
    adj_close,
    LAG(adj_close) OVER (ORDER BY date) AS adj_close_before,
    volume,
    session_quality
  FROM market_data.futures_continuous_1d
  WHERE symbol = 'ZL'
),
action AS (
  SELECT date, action, probability, expected_move, expected_price, best_price, worst_price, urgency, buyer_text
  FROM predictions.zl_impact_daily
  WHERE probability IS NOT NULL
  QUALIFY ROW_NUMBER() OVER (PARTITION BY date ORDER BY probability DESC, action) = 1
)
SELECT
  sessions.date,
  sessions.symbol,
  sessions.contract,
  sessions.price,
  SAFE_DIVIDE(sessions.adj_close, sessions.adj_close_before) - 1 AS change_1d,
  sessions.volume,
  matrix.open_interest.oi_front_lag1,
  sessions.session_quality,
  matrix.regime_name AS regime,
  matrix.regime.weight AS regime_weight,
  matrix.regime.vol_percentile AS vol_percentile,
  matrix.pivots.P AS pivot,
  matrix.pivots.R1 AS resistance_1,
  matrix.pivots.R2 AS resistance_2,
  matrix.pivots.S1 AS support_1,
  matrix.pivots.S2 AS support_2,
  matrix.pivots.price_above_P AS price_above_pivot,
  matrix.policy.trump_score_signed AS policy_score,
  matrix.policy.trump_confidence AS policy_confidence,
  matrix.policy.trump_sentiment_7d AS policy_sentiment_7d,
  matrix.policy.trump_tariff_intensity AS tariff_intensity,
  matrix.policy.trump_procurement_alert AS procurement_alert,
  matrix.policy.trump_mentions AS policy_mentions,
  matrix.biofuel.boho_spread AS boho_spread,
  matrix.biofuel.board_crush AS board_crush,
  matrix.biofuel.oil_share AS oil_share,
  matrix.biofuel.d4_rin_proxy AS d4_rin_proxy,
  matrix.fx.strength_index AS fx_strength_index,
  action.action,
  action.probability AS action_probability,
  action.expected_move,
  action.expected_price,
  action.best_price,
  action.worst_price,
  action.urgency,
  action.buyer_text,
  matrix.timestamp AS as_of
FROM sessions
LEFT JOIN features.daily_ml_matrix AS matrix ON matrix.symbol = sessions.symbol AND matrix.data_date = sessions.date
LEFT JOIN action ON action.date = sessions.date
ORDER BY sessions.date DESC
LIMIT 1
