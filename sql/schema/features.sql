-- Generated from cbi_dagster/catalog by `make generate`. Do not edit.

CREATE TABLE IF NOT EXISTS `features.volatility_daily` (
  `date` DATE NOT NULL OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours.'),
  `symbol` STRING NOT NULL OPTIONS(description='Market: the root for the platform\'s continuous series, else the vendor\'s symbol.'),
  `realized_vol_1h` FLOAT64 OPTIONS(description='Square root of the sum of squared 1-hour log returns inside the session (the first from the session\'s open); not annualised. NULL without intraday bars. [fraction]'),
  `realized_vol_5d` FLOAT64 OPTIONS(description='Sample standard deviation of the last 5 daily log returns of adj_close x sqrt(252). [fraction per year]'),
  `realized_vol_10d` FLOAT64 OPTIONS(description='Sample standard deviation of the last 10 daily log returns of adj_close x sqrt(252). [fraction per year]'),
  `realized_vol_21d` FLOAT64 OPTIONS(description='Sample standard deviation of the last 21 daily log returns of adj_close x sqrt(252). [fraction per year]'),
  `realized_vol_63d` FLOAT64 OPTIONS(description='Sample standard deviation of the last 63 daily log returns of adj_close x sqrt(252). [fraction per year]'),
  `parkinson_vol_21d` FLOAT64 OPTIONS(description='sqrt(mean ln(high / low)^2 / (4 ln 2)) of the last 21 sessions x sqrt(252). [fraction per year]'),
  `vol_percentile` FLOAT64 OPTIONS(description='Share of the realized_vol_21d of the last 252 sessions ending at the row that are <= the row\'s; NULL before 126 are known. [fraction]'),
  `k_vol` FLOAT64 OPTIONS(description='realized_vol_21d over its median of the last 252 sessions ending at the row, clamped to 0.5..3; NULL before 126 are known. [ratio]'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `date`
CLUSTER BY `symbol`
OPTIONS(description='Realized volatilities of the adjusted series and where today\'s stands in its own past.');

CREATE TABLE IF NOT EXISTS `features.pivot_math_daily` (
  `date` DATE NOT NULL OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours.'),
  `symbol` STRING NOT NULL OPTIONS(description='Market: the root for the platform\'s continuous series, else the vendor\'s symbol.'),
  `P` FLOAT64 OPTIONS(description='Pivot of the prior session: (H+L+C)/3. [quote unit]'),
  `R1` FLOAT64 OPTIONS(description='Resistance 1 of the prior session: 2P-L. [quote unit]'),
  `R2` FLOAT64 OPTIONS(description='Resistance 2 of the prior session: P+(H-L). [quote unit]'),
  `R3` FLOAT64 OPTIONS(description='Resistance 3 of the prior session: H+2(P-L). [quote unit]'),
  `R4` FLOAT64 OPTIONS(description='Resistance 4 of the prior session: H+3(P-L). [quote unit]'),
  `S1` FLOAT64 OPTIONS(description='Support 1 of the prior session: 2P-H. [quote unit]'),
  `S2` FLOAT64 OPTIONS(description='Support 2 of the prior session: P-(H-L). [quote unit]'),
  `S3` FLOAT64 OPTIONS(description='Support 3 of the prior session: L-2(H-P). [quote unit]'),
  `S4` FLOAT64 OPTIONS(description='Support 4 of the prior session: L-3(H-P). [quote unit]'),
  `M1` FLOAT64 OPTIONS(description='Mid-point of P and R1. [quote unit]'),
  `M2` FLOAT64 OPTIONS(description='Mid-point of R1 and R2. [quote unit]'),
  `M3` FLOAT64 OPTIONS(description='Mid-point of R2 and R3. [quote unit]'),
  `M4` FLOAT64 OPTIONS(description='Mid-point of R3 and R4. [quote unit]'),
  `M5` FLOAT64 OPTIONS(description='Mid-point of P and S1. [quote unit]'),
  `M6` FLOAT64 OPTIONS(description='Mid-point of S1 and S2. [quote unit]'),
  `M7` FLOAT64 OPTIONS(description='Mid-point of S2 and S3. [quote unit]'),
  `M8` FLOAT64 OPTIONS(description='Mid-point of S3 and S4. [quote unit]'),
  `WP` FLOAT64 OPTIONS(description='Pivot of the prior ISO week: (H+L+C)/3. [quote unit]'),
  `WR1` FLOAT64 OPTIONS(description='Resistance 1 of the prior ISO week: 2P-L. [quote unit]'),
  `WR2` FLOAT64 OPTIONS(description='Resistance 2 of the prior ISO week: P+(H-L). [quote unit]'),
  `WR3` FLOAT64 OPTIONS(description='Resistance 3 of the prior ISO week: H+2(P-L). [quote unit]'),
  `WS1` FLOAT64 OPTIONS(description='Support 1 of the prior ISO week: 2P-H. [quote unit]'),
  `WS2` FLOAT64 OPTIONS(description='Support 2 of the prior ISO week: P-(H-L). [quote unit]'),
  `WS3` FLOAT64 OPTIONS(description='Support 3 of the prior ISO week: L-2(H-P). [quote unit]'),
  `MP` FLOAT64 OPTIONS(description='Pivot of the prior calendar month: (H+L+C)/3. [quote unit]'),
  `MR1` FLOAT64 OPTIONS(description='Resistance 1 of the prior calendar month: 2P-L. [quote unit]'),
  `MR2` FLOAT64 OPTIONS(description='Resistance 2 of the prior calendar month: P+(H-L). [quote unit]'),
  `MR3` FLOAT64 OPTIONS(description='Resistance 3 of the prior calendar month: H+2(P-L). [quote unit]'),
  `MS1` FLOAT64 OPTIONS(description='Support 1 of the prior calendar month: 2P-H. [quote unit]'),
  `MS2` FLOAT64 OPTIONS(description='Support 2 of the prior calendar month: P-(H-L). [quote unit]'),
  `MS3` FLOAT64 OPTIONS(description='Support 3 of the prior calendar month: L-2(H-P). [quote unit]'),
  `current_price` FLOAT64 OPTIONS(description='Unadjusted close of the row\'s trade date. [quote unit]'),
  `atr_14` FLOAT64 OPTIONS(description='Simple mean of the last 14 true ranges, in the price of the row\'s contract. [quote unit]'),
  `distance_to_P` FLOAT64 OPTIONS(description='current_price - P, signed. [quote unit]'),
  `distance_to_R1` FLOAT64 OPTIONS(description='current_price - R1, signed. [quote unit]'),
  `distance_to_S1` FLOAT64 OPTIONS(description='current_price - S1, signed. [quote unit]'),
  `distance_to_R2` FLOAT64 OPTIONS(description='current_price - R2, signed. [quote unit]'),
  `distance_to_S2` FLOAT64 OPTIONS(description='current_price - S2, signed. [quote unit]'),
  `distance_to_R3` FLOAT64 OPTIONS(description='current_price - R3, signed. [quote unit]'),
  `distance_to_S3` FLOAT64 OPTIONS(description='current_price - S3, signed. [quote unit]'),
  `distance_to_P_atr` FLOAT64 OPTIONS(description='distance_to_P / atr_14, signed. [ATR]'),
  `distance_to_nearest_pivot` FLOAT64 OPTIONS(description='Unsigned distance from current_price to the nearest of P, R1..R4, S1..S4, M1, M5. [quote unit]'),
  `nearest_pivot_type` STRING OPTIONS(description='Name of that nearest level (the first of equals in that order).'),
  `price_above_P` BOOL OPTIONS(description='current_price > P.'),
  `price_between_R1_R2` BOOL OPTIONS(description='R1 <= current_price <= R2.'),
  `price_between_S1_P` BOOL OPTIONS(description='S1 <= current_price <= P.'),
  `weekly_pivot_distance` FLOAT64 OPTIONS(description='Unsigned distance from current_price to WP. [quote unit]'),
  `weekly_pivot_distance_signed` FLOAT64 OPTIONS(description='current_price - WP. [quote unit]'),
  `monthly_pivot_distance` FLOAT64 OPTIONS(description='Unsigned distance from current_price to MP. [quote unit]'),
  `monthly_pivot_distance_signed` FLOAT64 OPTIONS(description='current_price - MP. [quote unit]'),
  `pivot_confluence_count` INT64 OPTIONS(description='How many of P, R1, S1, R2, S2, WP, MP lie within 0.25 atr_14 of current_price. [levels]'),
  `pivot_confluence_count_fixed` INT64 OPTIONS(description='How many of P, R1, S1, R2, S2, WP, MP lie within the symbol\'s fixed tolerance of current_price; NULL for symbols without one. [levels]'),
  `pivot_zone_strength` INT64 OPTIONS(description='pivot_confluence_count clamped to 1..5. [levels]'),
  `pivot_confluence_3_or_higher` BOOL OPTIONS(description='pivot_confluence_count >= 3.'),
  `price_rejected_R1_twice` BOOL OPTIONS(description='At least 2 of the 3 sessions before had high > R1 and close < R1, each with its own day\'s R1.'),
  `price_bouncing_off_S1` BOOL OPTIONS(description='Of the 3 sessions before at least 1 had low <= S1 and at least 2 had close >= P, each with its own day\'s levels.'),
  `price_stuck_between_R1_S1_for_3_days` BOOL OPTIONS(description='All 3 sessions before closed within [S1, R1] of their own day.'),
  `weekly_pivot_flip` BOOL OPTIONS(description='The session before and this one closed strictly on opposite sides of their own day\'s WP.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `date`
CLUSTER BY `symbol`
OPTIONS(description='Floor-trader pivots of the prior session, week and month in the price of the row\'s contract, distances to them, confluence and pattern flags.');

CREATE TABLE IF NOT EXISTS `features.fib_levels_daily` (
  `date` DATE NOT NULL OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours.'),
  `symbol` STRING NOT NULL OPTIONS(description='Market: the root for the platform\'s continuous series, else the vendor\'s symbol.'),
  `swing_date_low` DATE OPTIONS(description='Session of the leg\'s low close.'),
  `swing_date_high` DATE OPTIONS(description='Session of the leg\'s high close.'),
  `leg_confirmed_date` DATE OPTIONS(description='Session whose close confirmed the leg\'s later end.'),
  `zigzag_threshold` FLOAT64 OPTIONS(description='Reversal that confirms a pivot: 3 x median over the window of (mean of 14 true ranges / close), clamped to 0.005..0.15. [fraction]'),
  `trend_direction` STRING OPTIONS(description='up when the leg\'s low came first, else down.'),
  `days_since_swing` INT64 OPTIONS(description='From the leg\'s later end to the row\'s trade date. [calendar days]'),
  `swing_low_price` FLOAT64 OPTIONS(description='Low close of the leg in the price of the row\'s contract. [quote unit]'),
  `swing_high_price` FLOAT64 OPTIONS(description='High close of the leg in the price of the row\'s contract. [quote unit]'),
  `retrace_236` FLOAT64 OPTIONS(description='23.6 % retracement of the leg from its later end. [quote unit]'),
  `retrace_382` FLOAT64 OPTIONS(description='38.2 % retracement of the leg from its later end. [quote unit]'),
  `retrace_50` FLOAT64 OPTIONS(description='50 % retracement of the leg from its later end. [quote unit]'),
  `retrace_618` FLOAT64 OPTIONS(description='61.8 % retracement of the leg from its later end. [quote unit]'),
  `retrace_786` FLOAT64 OPTIONS(description='78.6 % retracement of the leg from its later end. [quote unit]'),
  `ext_100` FLOAT64 OPTIONS(description='100 % extension of the leg, measured from its earlier end. [quote unit]'),
  `ext_1236` FLOAT64 OPTIONS(description='123.6 % extension of the leg, measured from its earlier end. [quote unit]'),
  `ext_1382` FLOAT64 OPTIONS(description='138.2 % extension of the leg, measured from its earlier end. [quote unit]'),
  `ext_1618` FLOAT64 OPTIONS(description='161.8 % extension of the leg, measured from its earlier end. [quote unit]'),
  `ext_200` FLOAT64 OPTIONS(description='200 % extension of the leg, measured from its earlier end. [quote unit]'),
  `ext_2618` FLOAT64 OPTIONS(description='261.8 % extension of the leg, measured from its earlier end. [quote unit]'),
  `current_price` FLOAT64 OPTIONS(description='Unadjusted close of the row\'s trade date. [quote unit]'),
  `swing_position_pct` FLOAT64 OPTIONS(description='100 x (close - low) / (high - low) of the leg; may leave 0..100. [percent]'),
  `price_near_618_retrace` BOOL OPTIONS(description='current_price lies within the symbol\'s tolerance (else 1 %) of retrace_618.'),
  `price_near_1618_ext` BOOL OPTIONS(description='current_price lies within the symbol\'s tolerance (else 1 %) of ext_1618.'),
  `price_near_any_major` BOOL OPTIONS(description='price_near_618_retrace or price_near_1618_ext, or within 1 % of retrace_382, retrace_50 or ext_100.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `date`
CLUSTER BY `symbol`
OPTIONS(description='Fibonacci levels of the last confirmed swing of adjusted closes, in the price of the row\'s contract.');

CREATE TABLE IF NOT EXISTS `features.daily_ml_matrix` (
  `symbol` STRING NOT NULL OPTIONS(description='Market: the root for the platform\'s continuous series, else the vendor\'s symbol.'),
  `data_date` DATE NOT NULL OPTIONS(description='Trade date the row describes; features are as known at its decision time.'),
  `timestamp` TIMESTAMP NOT NULL OPTIONS(description='Decision time of the row: the session close of its symbol (UTC).'),
  `market_data` STRUCT<
    `open` FLOAT64 OPTIONS(description='First traded price of the bar or session, unadjusted. [quote unit]'),
    `high` FLOAT64 OPTIONS(description='Highest traded price, unadjusted. [quote unit]'),
    `low` FLOAT64 OPTIONS(description='Lowest traded price, unadjusted. [quote unit]'),
    `close` FLOAT64 OPTIONS(description='Last traded price, unadjusted. [quote unit]'),
    `volume` INT64 OPTIONS(description='Contracts traded. [contracts]'),
    `vwap` FLOAT64 OPTIONS(description='Sum of typical price x volume over the session\'s intraday bars divided by their volume; typical price is (high + low + close) / 3. NULL without intraday bars. [quote unit]'),
    `realized_vol_1h` FLOAT64 OPTIONS(description='Square root of the sum of squared 1-hour log returns inside the session (the first from the session\'s open); not annualised. NULL without intraday bars. [fraction]')
  > NOT NULL OPTIONS(description='The session of the row\'s contract.'),
  `pivots` STRUCT<
    `P` FLOAT64 OPTIONS(description='Pivot of the prior session: (H+L+C)/3. [quote unit]'),
    `R1` FLOAT64 OPTIONS(description='Resistance 1 of the prior session: 2P-L. [quote unit]'),
    `R2` FLOAT64 OPTIONS(description='Resistance 2 of the prior session: P+(H-L). [quote unit]'),
    `S1` FLOAT64 OPTIONS(description='Support 1 of the prior session: 2P-H. [quote unit]'),
    `S2` FLOAT64 OPTIONS(description='Support 2 of the prior session: P-(H-L). [quote unit]'),
    `distance_to_P` FLOAT64 OPTIONS(description='current_price - P, signed. [quote unit]'),
    `distance_to_nearest_pivot` FLOAT64 OPTIONS(description='Unsigned distance from current_price to the nearest of P, R1..R4, S1..S4, M1, M5. [quote unit]'),
    `weekly_pivot_distance` FLOAT64 OPTIONS(description='Unsigned distance from current_price to WP. [quote unit]'),
    `price_above_P` BOOL OPTIONS(description='current_price > P.')
  > OPTIONS(description='Where the close stands among the pivots of the prior session and week.'),
  `policy` STRUCT<
    `trump_action_prob` FLOAT64 OPTIONS(description='Highest probability of any policy action. [fraction]'),
    `trump_expected_zl_move` FLOAT64 OPTIONS(description='Expected move of soybean oil over all actions. [fraction]'),
    `trump_score` FLOAT64 OPTIONS(description='1 - product of (1 - score) over the events of the last 72 h, decayed. [fraction]'),
    `trump_score_signed` FLOAT64 OPTIONS(description='Sum of signed event scores, clamped. [fraction]'),
    `trump_confidence` FLOAT64 OPTIONS(description='Score-weighted mean source confidence. [fraction]'),
    `trump_sentiment_7d` FLOAT64 OPTIONS(description='Mean event sentiment of the last 7 calendar days. [-1..1]'),
    `trump_tariff_intensity` FLOAT64 OPTIONS(description='100 tanh(tariff score / 50), the day\'s highest. [0..100]'),
    `trump_procurement_alert` BOOL OPTIONS(description='Whether an action with probability above 0.30 is of high urgency.'),
    `trump_mentions` INT64 OPTIONS(description='Events of the last 24 h that mention Trump. [events]'),
    `trumpxi_china_mentions` INT64 OPTIONS(description='Events of the last 24 h that mention China and Trump or Xi. [events]'),
    `trumpxi_sentiment_volatility` FLOAT64 OPTIONS(description='Standard deviation of the sentiment of such events over 7 days.'),
    `trumpxi_policy_impact` FLOAT64 OPTIONS(description='Mean signed score of such events of the last 24 h. [fraction]'),
    `trumpxi_volatility_30d_ma` FLOAT64 OPTIONS(description='30-calendar-day mean of trumpxi_sentiment_volatility.'),
    `trump_soybean_sentiment_7d` FLOAT64 OPTIONS(description='7-day mean sentiment of events that name soy and Trump. [-1..1]'),
    `policy_trump_topic_multiplier` FLOAT64 OPTIONS(description='Topic multiplier of the highest-scored event. [fraction]'),
    `policy_trump_recency_decay` FLOAT64 OPTIONS(description='exp(-hours since the latest scored event / 24). [fraction]')
  > OPTIONS(description='Policy events known at the row\'s decision time; NULL where no source covers the date.'),
  `golden_zone` STRUCT<
    `state` INT64 OPTIONS(description='0 outside the golden zone, 1 inside, 2 deep.'),
    `swing_high` FLOAT64 OPTIONS(description='High of the active swing, in the price of the row\'s contract. [quote unit]'),
    `swing_low` FLOAT64 OPTIONS(description='Low of the active swing, in the price of the row\'s contract. [quote unit]'),
    `fib_50` FLOAT64 OPTIONS(description='50 % retracement of the active swing. [quote unit]'),
    `fib_618` FLOAT64 OPTIONS(description='61.8 % retracement of the active swing. [quote unit]'),
    `vol_decay_slope` FLOAT64 OPTIONS(description='Slope of normalised volume over the 5 bars before the candidate bar, per bar. [fraction per bar]'),
    `qualified_trigger` BOOL OPTIONS(description='Whether a close qualified in the session: back across fib_50 on expanding volume.')
  > OPTIONS(description='The golden-zone state machine of MES; NULL for other symbols.'),
  `regime` STRUCT<
    `name` STRING OPTIONS(description='Name of the market regime in force on the trade date.'),
    `weight` INT64 OPTIONS(description='Training weight of the regime. [weight]'),
    `vol_percentile` FLOAT64 OPTIONS(description='Share of the realized_vol_21d of the last 252 sessions ending at the row that are <= the row\'s; NULL before 126 are known. [fraction]'),
    `k_vol` FLOAT64 OPTIONS(description='realized_vol_21d over its median of the last 252 sessions ending at the row, clamped to 0.5..3; NULL before 126 are known. [ratio]')
  > NOT NULL OPTIONS(description='The regime in force and how volatile the symbol is against its own past.'),
  `fibs` STRUCT<
    `trend_direction` STRING OPTIONS(description='up when the leg\'s low came first, else down.'),
    `swing_high_price` FLOAT64 OPTIONS(description='High close of the leg in the price of the row\'s contract. [quote unit]'),
    `swing_low_price` FLOAT64 OPTIONS(description='Low close of the leg in the price of the row\'s contract. [quote unit]'),
    `days_since_swing` INT64 OPTIONS(description='From the leg\'s later end to the row\'s trade date. [calendar days]'),
    `retrace_236` FLOAT64 OPTIONS(description='23.6 % retracement of the leg from its later end. [quote unit]'),
    `retrace_382` FLOAT64 OPTIONS(description='38.2 % retracement of the leg from its later end. [quote unit]'),
    `retrace_50` FLOAT64 OPTIONS(description='50 % retracement of the leg from its later end. [quote unit]'),
    `retrace_618` FLOAT64 OPTIONS(description='61.8 % retracement of the leg from its later end. [quote unit]'),
    `retrace_786` FLOAT64 OPTIONS(description='78.6 % retracement of the leg from its later end. [quote unit]'),
    `ext_100` FLOAT64 OPTIONS(description='100 % extension of the leg, measured from its earlier end. [quote unit]'),
    `ext_1236` FLOAT64 OPTIONS(description='123.6 % extension of the leg, measured from its earlier end. [quote unit]'),
    `ext_1382` FLOAT64 OPTIONS(description='138.2 % extension of the leg, measured from its earlier end. [quote unit]'),
    `ext_1618` FLOAT64 OPTIONS(description='161.8 % extension of the leg, measured from its earlier end. [quote unit]'),
    `ext_200` FLOAT64 OPTIONS(description='200 % extension of the leg, measured from its earlier end. [quote unit]'),
    `ext_2618` FLOAT64 OPTIONS(description='261.8 % extension of the leg, measured from its earlier end. [quote unit]'),
    `swing_position_pct` FLOAT64 OPTIONS(description='100 x (close - low) / (high - low) of the leg; may leave 0..100. [percent]'),
    `price_near_618_retrace` BOOL OPTIONS(description='current_price lies within the symbol\'s tolerance (else 1 %) of retrace_618.'),
    `price_near_1618_ext` BOOL OPTIONS(description='current_price lies within the symbol\'s tolerance (else 1 %) of ext_1618.'),
    `price_near_any_major` BOOL OPTIONS(description='price_near_618_retrace or price_near_1618_ext, or within 1 % of retrace_382, retrace_50 or ext_100.')
  > OPTIONS(description='Fibonacci levels of the last confirmed swing.'),
  `regime_name` STRING NOT NULL OPTIONS(description='regime, at the top level because BigQuery cannot cluster on STRUCT fields.'),
  `feature_version` STRING NOT NULL OPTIONS(description='Version of the set of features in the row.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `data_date`
CLUSTER BY `symbol`, `regime_name`
OPTIONS(description='Everything known of a symbol at its decision time, one row per symbol and trade date.');
