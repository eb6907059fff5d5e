-- MES in bars of 1hr, each with the return to the close of the next one where there is one.
-- Generated from cbi_dagster/catalog by `make generate`. Do not edit.
SELECT
  bar.date,
  bar.symbol,
  bar.bar_close_ts,
  bar.close AS price,
  bar.volume,
  bar.ret_1b,
  bar.rsi_14b,
  bar.vol_20b,
  bar.bb_position_20b,
  bar.volume_ratio_20b,
  calendar.regime,
  bar.bar_close_ts AS as_of,
  label.target_ts,
  label.target_1hr
FROM features.mes_1hr AS bar
LEFT JOIN training.regime_calendar AS calendar ON calendar.date = bar.date
LEFT JOIN training.mes_training_prod_allhistory_1hr AS label ON label.symbol = bar.symbol AND label.bar_close_ts = bar.bar_close_ts
