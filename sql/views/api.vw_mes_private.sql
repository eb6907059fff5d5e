-- The present of MES on one line: price and change, gauges, pivots, fibs and the golden zone.
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
  WHERE symbol = 'MES'
)
SELECT
  sessions.date,
  sessions.symbol,
  sessions.contract,
  sessions.price,
  SAFE_DIVIDE(sessions.adj_close, sessions.adj_close_before) - 1 AS change_1d,
  sessions.volume,
  sessions.session_quality,
  matrix.regime_name AS regime,
  matrix.regime.vol_percentile AS vol_percentile,
  matrix.regime.k_vol AS k_vol,
  matrix.technicals.rsi_14 AS rsi_14,
  matrix.technicals.macd_hist AS macd_hist,
  matrix.technicals.bb_position AS bb_position,
  matrix.technicals.atr_14_wilder AS atr_14_wilder,
  matrix.technicals.dist_sma_50 AS dist_sma_50,
  matrix.technicals.dist_sma_200 AS dist_sma_200,
  matrix.pivots.P AS pivot,
  matrix.pivots.R1 AS resistance_1,
  matrix.pivots.R2 AS resistance_2,
  matrix.pivots.S1 AS support_1,
  matrix.pivots.S2 AS support_2,
  matrix.pivots.distance_to_nearest_pivot AS distance_to_nearest_pivot,
  matrix.pivots.price_above_P AS price_above_pivot,
  matrix.fibs.trend_direction AS trend_direction,
  matrix.fibs.swing_low_price AS swing_low_price,
  matrix.fibs.swing_high_price AS swing_high_price,
  matrix.fibs.retrace_382 AS retrace_382,
  matrix.fibs.retrace_50 AS retrace_50,
  matrix.fibs.retrace_618 AS retrace_618,
  matrix.fibs.ext_1618 AS ext_1618,
  matrix.golden_zone.state AS golden_zone_state,
  matrix.golden_zone.fib_50 AS golden_zone_fib_50,
  matrix.golden_zone.fib_618 AS golden_zone_fib_618,
  matrix.golden_zone.vol_decay_slope AS vol_decay_slope,
  matrix.golden_zone.qualified_trigger AS qualified_trigger,
  matrix.timestamp AS as_of
FROM sessions
LEFT JOIN features.daily_ml_matrix AS matrix ON matrix.symbol = sessions.symbol AND matrix.data_date = sessions.date
ORDER BY sessions.date DESC
LIMIT 1
