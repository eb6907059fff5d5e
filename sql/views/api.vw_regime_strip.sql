-- The regimes in their order: when each was in force, what its rows weigh, since when it could be known, and how soybean
-- oil and MES moved in it.
WITH price AS (
  SELECT
    date,
    MAX(IF(symbol = 'ZL', adj_close, NULL)) AS zl,
    MAX(IF(symbol = 'MES', adj_close, NULL)) AS mes
  FROM market_data.futures_continuous_1d
  WHERE symbol IN ('ZL', 'MES')
  GROUP BY date
),
days AS (
  SELECT
    calendar.regime,
    calendar.valid_from,
    calendar.valid_to,
    calendar.is_fallback,
    calendar.date,
    FIRST_VALUE(price.zl IGNORE NULLS) OVER regime_days AS zl_first,
    LAST_VALUE(price.zl IGNORE NULLS) OVER regime_days AS zl_last,
    FIRST_VALUE(price.mes IGNORE NULLS) OVER regime_days AS mes_first,
    LAST_VALUE(price.mes IGNORE NULLS) OVER regime_days AS mes_last
  FROM training.regime_calendar AS calendar
  LEFT JOIN price ON price.date = calendar.date
  WINDOW regime_days AS (
    PARTITION BY calendar.regime, calendar.valid_from
    ORDER BY calendar.date
    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
  )
)
SELECT
  days.regime,
  days.valid_from,
  days.valid_to,
  days.is_fallback,
  weights.weight,
  weights.known_from,
  MIN(days.date) AS first_date,
  MAX(days.date) AS last_date,
  COUNT(*) AS trade_dates,
  SAFE_DIVIDE(MAX(days.zl_last), MAX(days.zl_first)) - 1 AS zl_return,
  SAFE_DIVIDE(MAX(days.mes_last), MAX(days.mes_first)) - 1 AS mes_return,
  MAX(days.date) = (SELECT MAX(date) FROM training.regime_calendar) AS is_current
FROM days
LEFT JOIN training.regime_weights AS weights ON weights.regime = days.regime
GROUP BY
  days.regime,
  days.valid_from,
  days.valid_to,
  days.is_fallback,
  weights.weight,
  weights.known_from
ORDER BY first_date
