-- Generated from cbi_dagster/catalog by `make generate`. Do not edit.

CREATE TABLE IF NOT EXISTS `market_data.databento_futures_ohlcv_1m` (
  `date` DATE NOT NULL OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours; on holidays that are traded without a settlement the next business day.'),
  `ts_event` TIMESTAMP NOT NULL OPTIONS(description='Start of the bar (UTC, inclusive).'),
  `root` STRING NOT NULL OPTIONS(description='Product root, e.g. ZL.'),
  `symbol` STRING NOT NULL OPTIONS(description='Market: the root for the platform\'s continuous series, else the vendor\'s symbol.'),
  `instrument_id` INT64 NOT NULL OPTIONS(description='Vendor\'s id of the contract, unique within a day only; negative where the delivery named the contract but gave no id.'),
  `publisher_id` INT64 OPTIONS(description='Vendor\'s id of the publisher (venue feed).'),
  `open` FLOAT64 NOT NULL OPTIONS(description='First traded price of the bar or session, unadjusted. [quote unit]'),
  `high` FLOAT64 NOT NULL OPTIONS(description='Highest traded price, unadjusted. [quote unit]'),
  `low` FLOAT64 NOT NULL OPTIONS(description='Lowest traded price, unadjusted. [quote unit]'),
  `close` FLOAT64 NOT NULL OPTIONS(description='Last traded price, unadjusted. [quote unit]'),
  `volume` INT64 NOT NULL OPTIONS(description='Contracts traded. [contracts]'),
  `session_instrument_id` INT64 OPTIONS(description='Contract that the vendor\'s mapping names for the UTC date equal to the trade date; NULL when no landed mapping covers that date.'),
  `session_covered` BOOL NOT NULL OPTIONS(description='Whether landed data covers the bar\'s session from open to close.'),
  `decision_covered` BOOL OPTIONS(description='Whether landed data covers the bar\'s session from open to the decision time (13:20 America/Chicago) of its trade date, or to its close where that is earlier; NULL for bars of UTC days.'),
  `dataset` STRING NOT NULL OPTIONS(description='Vendor dataset, e.g. GLBX.MDP3; simulated data says SIM.DEMO.'),
  `source_file` STRING OPTIONS(description='Name of the landed file the bar came from; not part of the row\'s content.'),
  `source_row` INT64 OPTIONS(description='Row (0-based) in that file; not part of the row\'s content.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `date`
CLUSTER BY `root`, `symbol`
OPTIONS(description='Vendor 1-minute bars of the universe, merged over all deliveries; a later one wins for its bars.');

CREATE TABLE IF NOT EXISTS `market_data.databento_futures_ohlcv_1h` (
  `date` DATE NOT NULL OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours; on holidays that are traded without a settlement the next business day.'),
  `ts_event` TIMESTAMP NOT NULL OPTIONS(description='Start of the bar (UTC, inclusive).'),
  `root` STRING NOT NULL OPTIONS(description='Product root, e.g. ZL.'),
  `symbol` STRING NOT NULL OPTIONS(description='Market: the root for the platform\'s continuous series, else the vendor\'s symbol.'),
  `instrument_id` INT64 NOT NULL OPTIONS(description='Vendor\'s id of the contract, unique within a day only; negative where the delivery named the contract but gave no id.'),
  `publisher_id` INT64 OPTIONS(description='Vendor\'s id of the publisher (venue feed).'),
  `open` FLOAT64 NOT NULL OPTIONS(description='First traded price of the bar or session, unadjusted. [quote unit]'),
  `high` FLOAT64 NOT NULL OPTIONS(description='Highest traded price, unadjusted. [quote unit]'),
  `low` FLOAT64 NOT NULL OPTIONS(description='Lowest traded price, unadjusted. [quote unit]'),
  `close` FLOAT64 NOT NULL OPTIONS(description='Last traded price, unadjusted. [quote unit]'),
  `volume` INT64 NOT NULL OPTIONS(description='Contracts traded. [contracts]'),
  `session_instrument_id` INT64 OPTIONS(description='Contract that the vendor\'s mapping names for the UTC date equal to the trade date; NULL when no landed mapping covers that date.'),
  `session_covered` BOOL NOT NULL OPTIONS(description='Whether landed data covers the bar\'s session from open to close.'),
  `decision_covered` BOOL OPTIONS(description='Whether landed data covers the bar\'s session from open to the decision time (13:20 America/Chicago) of its trade date, or to its close where that is earlier; NULL for bars of UTC days.'),
  `dataset` STRING NOT NULL OPTIONS(description='Vendor dataset, e.g. GLBX.MDP3; simulated data says SIM.DEMO.'),
  `source_file` STRING OPTIONS(description='Name of the landed file the bar came from; not part of the row\'s content.'),
  `source_row` INT64 OPTIONS(description='Row (0-based) in that file; not part of the row\'s content.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `date`
CLUSTER BY `root`, `symbol`
OPTIONS(description='Vendor 1-hour bars of the universe, merged over all deliveries; a later one wins for its bars.');

CREATE TABLE IF NOT EXISTS `market_data.databento_futures_ohlcv_utc_1d` (
  `date` DATE NOT NULL OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours; on holidays that are traded without a settlement the next business day.'),
  `ts_event` TIMESTAMP NOT NULL OPTIONS(description='Start of the bar (UTC, inclusive).'),
  `root` STRING NOT NULL OPTIONS(description='Product root, e.g. ZL.'),
  `symbol` STRING NOT NULL OPTIONS(description='Market: the root for the platform\'s continuous series, else the vendor\'s symbol.'),
  `instrument_id` INT64 NOT NULL OPTIONS(description='Vendor\'s id of the contract, unique within a day only; negative where the delivery named the contract but gave no id.'),
  `publisher_id` INT64 OPTIONS(description='Vendor\'s id of the publisher (venue feed).'),
  `open` FLOAT64 NOT NULL OPTIONS(description='First traded price of the bar or session, unadjusted. [quote unit]'),
  `high` FLOAT64 NOT NULL OPTIONS(description='Highest traded price, unadjusted. [quote unit]'),
  `low` FLOAT64 NOT NULL OPTIONS(description='Lowest traded price, unadjusted. [quote unit]'),
  `close` FLOAT64 NOT NULL OPTIONS(description='Last traded price, unadjusted. [quote unit]'),
  `volume` INT64 NOT NULL OPTIONS(description='Contracts traded. [contracts]'),
  `session_instrument_id` INT64 OPTIONS(description='Contract that the vendor\'s mapping names for the UTC date equal to the trade date; NULL when no landed mapping covers that date.'),
  `session_covered` BOOL NOT NULL OPTIONS(description='Whether landed data covers the bar\'s session from open to close.'),
  `decision_covered` BOOL OPTIONS(description='Whether landed data covers the bar\'s session from open to the decision time (13:20 America/Chicago) of its trade date, or to its close where that is earlier; NULL for bars of UTC days.'),
  `dataset` STRING NOT NULL OPTIONS(description='Vendor dataset, e.g. GLBX.MDP3; simulated data says SIM.DEMO.'),
  `source_file` STRING OPTIONS(description='Name of the landed file the bar came from; not part of the row\'s content.'),
  `source_row` INT64 OPTIONS(description='Row (0-based) in that file; not part of the row\'s content.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `date`
CLUSTER BY `root`, `symbol`
OPTIONS(description='Vendor UTC-day bars (not sessions) of the universe, merged over all deliveries; a later one wins for its bars.');

CREATE TABLE IF NOT EXISTS `market_data.databento_futures_statistics` (
  `date` DATE NOT NULL OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours; on holidays that are traded without a settlement the next business day.'),
  `ts_recv` TIMESTAMP NOT NULL OPTIONS(description='When the vendor received the record (UTC): from then on its content is known.'),
  `ref_date` DATE NOT NULL OPTIONS(description='Trade date that the record is about; it may be received on a later one.'),
  `root` STRING NOT NULL OPTIONS(description='Product root, e.g. ZL.'),
  `symbol` STRING NOT NULL OPTIONS(description='Market: the root for the platform\'s continuous series, else the vendor\'s symbol.'),
  `instrument_id` INT64 NOT NULL OPTIONS(description='Vendor\'s id of the contract, unique within a day only; negative where the delivery named the contract but gave no id.'),
  `publisher_id` INT64 OPTIONS(description='Vendor\'s id of the publisher (venue feed).'),
  `stat_type` STRING NOT NULL OPTIONS(description='What the record states.'),
  `update_action` STRING NOT NULL OPTIONS(description='Whether the record states a value or takes one back.'),
  `price` FLOAT64 OPTIONS(description='Settlement price that the record states; NULL for none, 0 for what nobody trades. [quote unit]'),
  `quantity` INT64 OPTIONS(description='Contracts that the record states; NULL for none. [contracts]'),
  `stat_flags` INT64 OPTIONS(description='The exchange\'s flags of a settlement, as a sum: 1 final, 2 actual, 4 rounded, 8 intraday, 128 none; 255 where they do not apply.'),
  `sequence` INT64 OPTIONS(description='The exchange\'s number of the message, per channel and week.'),
  `dataset` STRING NOT NULL OPTIONS(description='Vendor dataset, e.g. GLBX.MDP3; simulated data says SIM.DEMO.'),
  `source_file` STRING OPTIONS(description='Name of the landed file the bar came from; not part of the row\'s content.'),
  `source_row` INT64 OPTIONS(description='Row (0-based) in that file; not part of the row\'s content.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `date`
CLUSTER BY `root`, `symbol`
OPTIONS(description='Settlements, cleared volumes and open interest of outrights, every record as it was published, by the trade date on which it was received. settlements_1d says what holds in the end.');

CREATE TABLE IF NOT EXISTS `market_data.instruments` (
  `date` DATE NOT NULL OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours; on holidays that are traded without a settlement the next business day.'),
  `ts_recv` TIMESTAMP NOT NULL OPTIONS(description='When the vendor received the record (UTC): from then on its content is known.'),
  `root` STRING NOT NULL OPTIONS(description='Product root, e.g. ZL.'),
  `symbol` STRING NOT NULL OPTIONS(description='Market: the root for the platform\'s continuous series, else the vendor\'s symbol.'),
  `instrument_id` INT64 NOT NULL OPTIONS(description='Vendor\'s id of the contract, unique within a day only; negative where the delivery named the contract but gave no id.'),
  `publisher_id` INT64 OPTIONS(description='Vendor\'s id of the publisher (venue feed).'),
  `instrument_class` STRING NOT NULL OPTIONS(description='The vendor\'s letter for the kind of instrument; F is a future.'),
  `security_update_action` STRING OPTIONS(description='Whether the definition adds (A), modifies (M) or deletes (D) the contract.'),
  `delivery_month` DATE OPTIONS(description='First day of the contract\'s delivery month.'),
  `activation` TIMESTAMP OPTIONS(description='When the contract was or will be listed (UTC).'),
  `expiration` TIMESTAMP NOT NULL OPTIONS(description='When the contract\'s trading ends (UTC).'),
  `min_price_increment` FLOAT64 OPTIONS(description='Smallest difference of two prices of the contract (tick). [quote unit]'),
  `display_factor` FLOAT64 OPTIONS(description='Price on the exchange\'s screens per price of the vendor. [ratio]'),
  `unit_of_measure` STRING OPTIONS(description='Unit of what the contract delivers, e.g. LBS, as the exchange writes it.'),
  `unit_of_measure_qty` FLOAT64 OPTIONS(description='How much of that one contract delivers. [unit_of_measure]'),
  `trading_currency` STRING OPTIONS(description='Currency of the price, as the exchange writes it.'),
  `exchange_mic` STRING OPTIONS(description='Market identifier of the exchange, e.g. XCBT.'),
  `security_group` STRING OPTIONS(description='The exchange\'s product group, e.g. ZL.'),
  `dataset` STRING NOT NULL OPTIONS(description='Vendor dataset, e.g. GLBX.MDP3; simulated data says SIM.DEMO.'),
  `source_file` STRING OPTIONS(description='Name of the landed file the bar came from; not part of the row\'s content.'),
  `source_row` INT64 OPTIONS(description='Row (0-based) in that file; not part of the row\'s content.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `date`
CLUSTER BY `root`, `symbol`
OPTIONS(description='Outright futures as the exchange defined them, by the trade date on which the definition was received: the vendor restates every contract each day, and an id is a contract\'s for that day only.');

CREATE TABLE IF NOT EXISTS `market_data.databento_conditions` (
  `date` DATE NOT NULL OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours; on holidays that are traded without a settlement the next business day.'),
  `utc_date` DATE NOT NULL OPTIONS(description='Day in UTC, as the vendor counts.'),
  `condition` STRING NOT NULL OPTIONS(description='What the vendor says of its data of a day: available, degraded, pending or missing.'),
  `last_modified_date` DATE OPTIONS(description='When the vendor last changed its data of a day (UTC date).'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `date`
OPTIONS(description='What the vendor says of the data of its UTC days: `degraded` and `missing` ones are no fault of the landing. Of several statements about a day the one landed last holds. Saturday and Sunday are in the partition of the Monday after.');

CREATE TABLE IF NOT EXISTS `market_data.settlements_1d` (
  `date` DATE NOT NULL OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours; on holidays that are traded without a settlement the next business day.'),
  `root` STRING NOT NULL OPTIONS(description='Product root, e.g. ZL.'),
  `symbol` STRING NOT NULL OPTIONS(description='Market: the root for the platform\'s continuous series, else the vendor\'s symbol.'),
  `instrument_id` INT64 NOT NULL OPTIONS(description='Vendor\'s id of the contract, unique within a day only; negative where the delivery named the contract but gave no id.'),
  `settle` FLOAT64 OPTIONS(description='Settlement price of the trade date, as published last; NULL where none was, and where the exchange says 0 for a contract that nobody trades. Known after the session\'s decision time. [quote unit]'),
  `settle_is_final` BOOL OPTIONS(description='Whether the exchange calls the settlement final; NULL where it says nothing of it.'),
  `settle_published_at` TIMESTAMP OPTIONS(description='When that settlement was received (UTC).'),
  `open_interest` INT64 OPTIONS(description='Open contracts at the end of the trade date, as published last, mostly on the next one. [contracts]'),
  `open_interest_published_at` TIMESTAMP OPTIONS(description='When that open interest was received (UTC).'),
  `cleared_volume` INT64 OPTIONS(description='Contracts cleared on the trade date, as published last. [contracts]'),
  `settlement_complete` BOOL NOT NULL OPTIONS(description='Whether nothing that is published from now on changes what the row says of settlement, open interest and cleared volume: a later trade date was spoken of, or enough time has passed. NULL where nothing is landed.'),
  `dataset` STRING NOT NULL OPTIONS(description='Vendor dataset, e.g. GLBX.MDP3; simulated data says SIM.DEMO.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `date`
CLUSTER BY `root`, `symbol`
OPTIONS(description='What holds of each outright\'s trade date by what the exchange published: settlement, open interest and cleared volume. Rows follow what is published, preliminary first; settlement_complete says when they stay.');

CREATE TABLE IF NOT EXISTS `market_data.futures_eod` (
  `trade_date_available` DATE NOT NULL OPTIONS(description='First trade date at whose decision time (13:20 America/Chicago) the vintage, the post or the span is known.'),
  `ref_date` DATE NOT NULL OPTIONS(description='Trade date that the record is about; it may be received on a later one.'),
  `root` STRING NOT NULL OPTIONS(description='Product root, e.g. ZL.'),
  `symbol` STRING NOT NULL OPTIONS(description='Market: the root for the platform\'s continuous series, else the vendor\'s symbol.'),
  `ticker` STRING NOT NULL OPTIONS(description='The contract as the other vendor calls it, e.g. BOF95 Comdty.'),
  `delivery_rank` INT64 OPTIONS(description='Place of the contract among its product\'s by delivery, 0 the nearest.'),
  `delivery_month` DATE NOT NULL OPTIONS(description='First day of the contract\'s delivery month.'),
  `last_trade_date` DATE NOT NULL OPTIONS(description='Date in Chicago on which trading of the contract ends, as the day\'s definition, or an end-of-day row, says; NULL without one.'),
  `settle` FLOAT64 OPTIONS(description='Settlement price of the trade date, as published last; NULL where none was, and where the exchange says 0 for a contract that nobody trades. Known after the session\'s decision time. [quote unit]'),
  `open_interest` INT64 OPTIONS(description='Open contracts at the end of the trade date, as published last, mostly on the next one. [contracts]'),
  `volume` INT64 OPTIONS(description='Contracts traded. [contracts]'),
  `dataset` STRING NOT NULL OPTIONS(description='Vendor dataset, e.g. GLBX.MDP3; simulated data says SIM.DEMO.'),
  `source_file` STRING OPTIONS(description='Name of the landed file the bar came from; not part of the row\'s content.'),
  `source_row` INT64 OPTIONS(description='Row (0-based) in that file; not part of the row\'s content.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `trade_date_available`
CLUSTER BY `root`, `symbol`
OPTIONS(description='Settlement, open interest and volume of contracts by another vendor, never mixed with what Databento delivers. A row is in the partition of the trade date after its own, what is older than the first one in that.');

CREATE TABLE IF NOT EXISTS `market_data.databento_futures_ohlcv_1d` (
  `date` DATE NOT NULL OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours; on holidays that are traded without a settlement the next business day.'),
  `root` STRING NOT NULL OPTIONS(description='Product root, e.g. ZL.'),
  `symbol` STRING NOT NULL OPTIONS(description='Market: the root for the platform\'s continuous series, else the vendor\'s symbol.'),
  `contract` STRING OPTIONS(description='Contract the prices belong to, e.g. ZLZ5; NULL when neither the delivery nor a definition names it.'),
  `instrument_id` INT64 NOT NULL OPTIONS(description='Vendor\'s id of the contract, unique within a day only; negative where the delivery named the contract but gave no id.'),
  `open` FLOAT64 NOT NULL OPTIONS(description='First traded price of the bar or session, unadjusted. [quote unit]'),
  `high` FLOAT64 NOT NULL OPTIONS(description='Highest traded price, unadjusted. [quote unit]'),
  `low` FLOAT64 NOT NULL OPTIONS(description='Lowest traded price, unadjusted. [quote unit]'),
  `close` FLOAT64 NOT NULL OPTIONS(description='Last traded price, unadjusted. [quote unit]'),
  `settle` FLOAT64 OPTIONS(description='Settlement price of the trade date, as published last; NULL where none was, and where the exchange says 0 for a contract that nobody trades. Known after the session\'s decision time. [quote unit]'),
  `settle_is_final` BOOL OPTIONS(description='Whether the exchange calls the settlement final; NULL where it says nothing of it.'),
  `volume` INT64 NOT NULL OPTIONS(description='Contracts traded. [contracts]'),
  `open_interest` INT64 OPTIONS(description='Open contracts at the end of the trade date, as published last, mostly on the next one. [contracts]'),
  `settlement_complete` BOOL OPTIONS(description='Whether nothing that is published from now on changes what the row says of settlement, open interest and cleared volume: a later trade date was spoken of, or enough time has passed. NULL where nothing is landed.'),
  `vwap` FLOAT64 OPTIONS(description='Sum of typical price x volume over the session\'s intraday bars divided by their volume; typical price is (high + low + close) / 3. NULL without intraday bars. [quote unit]'),
  `realized_vol_1h` FLOAT64 OPTIONS(description='Square root of the sum of squared 1-hour log returns inside the session (the first from the session\'s open); not annualised. NULL without intraday bars. [fraction]'),
  `bar_source` STRING NOT NULL OPTIONS(description='What the session was built from: the finest stored schema that covers it.'),
  `bars_seen` INT64 NOT NULL OPTIONS(description='Source bars of the session\'s contract. [bars]'),
  `bars_usual` FLOAT64 OPTIONS(description='Mean bars_seen of the ordinary sessions of the 30 trade dates before, from the same source; NULL for fewer than ten, and for bars of UTC days. [bars]'),
  `last_bar_end` TIMESTAMP NOT NULL OPTIONS(description='End of the session\'s last bar (UTC, exclusive bound of its trades); the close if that lies in the bar.'),
  `session_quality` STRING OPTIONS(description='Whether the session is what the exchange held, judged by itself and earlier ones: complete; early_close (the calendar says so); thin (hardly traded, e.g. the last days of a contract); holed (hours usually traded are missing); cut (they are missing up to the close); doubtful (one is missing on a day that the vendor calls degraded, missing or pending, which it may say much later: no feature). NULL where too little is known to tell.'),
  `session_close_ts` TIMESTAMP NOT NULL OPTIONS(description='When the session is known (UTC): its regular close, or last_bar_end where that is later.'),
  `boundary_instrument_id` INT64 OPTIONS(description='Contract of the bars that this session rejected as roll_boundary because they precede the switch; NULL when there were none.'),
  `boundary_close` FLOAT64 OPTIONS(description='Close of the last such bar: the old contract\'s last price before the switch. [quote unit]'),
  `exchange` STRING OPTIONS(description='Venue of the product.'),
  `currency` STRING OPTIONS(description='Currency of the price.'),
  `dataset` STRING OPTIONS(description='Vendor dataset, e.g. GLBX.MDP3; simulated data says SIM.DEMO.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `date`
CLUSTER BY `symbol`
OPTIONS(description='Session bars: one row per symbol and trade date, made of one contract\'s bars from the finest stored schema that covers the session. The root is the symbol of the preferred continuous series. Settlement and open interest follow when they are published: settlement_complete says when they stay.');

CREATE TABLE IF NOT EXISTS `market_data.futures_continuous_1d` (
  `date` DATE NOT NULL OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours; on holidays that are traded without a settlement the next business day.'),
  `symbol` STRING NOT NULL OPTIONS(description='Market: the root for the platform\'s continuous series, else the vendor\'s symbol.'),
  `contract` STRING OPTIONS(description='Contract the prices belong to, e.g. ZLZ5; NULL when neither the delivery nor a definition names it.'),
  `instrument_id` INT64 NOT NULL OPTIONS(description='Vendor\'s id of the contract, unique within a day only; negative where the delivery named the contract but gave no id.'),
  `open` FLOAT64 NOT NULL OPTIONS(description='First traded price of the bar or session, unadjusted. [quote unit]'),
  `high` FLOAT64 NOT NULL OPTIONS(description='Highest traded price, unadjusted. [quote unit]'),
  `low` FLOAT64 NOT NULL OPTIONS(description='Lowest traded price, unadjusted. [quote unit]'),
  `close` FLOAT64 NOT NULL OPTIONS(description='Last traded price, unadjusted. [quote unit]'),
  `volume` INT64 NOT NULL OPTIONS(description='Contracts traded. [contracts]'),
  `vwap` FLOAT64 OPTIONS(description='Sum of typical price x volume over the session\'s intraday bars divided by their volume; typical price is (high + low + close) / 3. NULL without intraday bars. [quote unit]'),
  `realized_vol_1h` FLOAT64 OPTIONS(description='Square root of the sum of squared 1-hour log returns inside the session (the first from the session\'s open); not annualised. NULL without intraday bars. [fraction]'),
  `bar_source` STRING NOT NULL OPTIONS(description='What the session was built from: the finest stored schema that covers it.'),
  `bars_seen` INT64 OPTIONS(description='Source bars of the session\'s contract. [bars]'),
  `bars_usual` FLOAT64 OPTIONS(description='Mean bars_seen of the ordinary sessions of the 30 trade dates before, from the same source; NULL for fewer than ten, and for bars of UTC days. [bars]'),
  `last_bar_end` TIMESTAMP NOT NULL OPTIONS(description='End of the session\'s last bar (UTC, exclusive bound of its trades); the close if that lies in the bar.'),
  `session_quality` STRING OPTIONS(description='Whether the session is what the exchange held, judged by itself and earlier ones: complete; early_close (the calendar says so); thin (hardly traded, e.g. the last days of a contract); holed (hours usually traded are missing); cut (they are missing up to the close); doubtful (one is missing on a day that the vendor calls degraded, missing or pending, which it may say much later: no feature). NULL where too little is known to tell.'),
  `session_close_ts` TIMESTAMP NOT NULL OPTIONS(description='When the session is known (UTC): its regular close, or last_bar_end where that is later.'),
  `is_roll` BOOL NOT NULL OPTIONS(description='Whether the session trades another contract than the previous one.'),
  `roll_gap` FLOAT64 OPTIONS(description='New contract\'s price minus the old one\'s at the switch, unadjusted; NULL without a roll. [quote unit]'),
  `roll_method` STRING OPTIONS(description='How the factor of the session\'s contract was found when it became front: both_legs compares both contracts\' closes of one earlier session; adjacent_bars compares the old contract\'s last bar with the new contract\'s first; after_gap does so across missing sessions or after one that was delivered in part; kept: it was front before and keeps its factor; undefined: a price is not positive. NULL without a roll.'),
  `roll_span_trade_dates` INT64 OPTIONS(description='Trade dates between the two prices that the roll compares: 0 when both belong to one session; NULL without a roll. [trade dates]'),
  `adj_factor` FLOAT64 OPTIONS(description='Forward ratio factor of the session\'s contract, the same whenever it is front: 1 for the first contract, then the old contract\'s times old price / new price. NULL if a price was not positive. [ratio]'),
  `adj_open` FLOAT64 OPTIONS(description='open x adj_factor. [adjusted price]'),
  `adj_high` FLOAT64 OPTIONS(description='high x adj_factor. [adjusted price]'),
  `adj_low` FLOAT64 OPTIONS(description='low x adj_factor. [adjusted price]'),
  `adj_close` FLOAT64 OPTIONS(description='close x adj_factor. [adjusted price]'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `date`
CLUSTER BY `symbol`
OPTIONS(description='One continuous series per product: the front contract\'s session, its roll and its forward factor.');

CREATE TABLE IF NOT EXISTS `market_data.databento_futures_decision_1d` (
  `date` DATE NOT NULL OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours; on holidays that are traded without a settlement the next business day.'),
  `root` STRING NOT NULL OPTIONS(description='Product root, e.g. ZL.'),
  `symbol` STRING NOT NULL OPTIONS(description='Market: the root for the platform\'s continuous series, else the vendor\'s symbol.'),
  `contract` STRING OPTIONS(description='Contract the prices belong to, e.g. ZLZ5; NULL when neither the delivery nor a definition names it.'),
  `instrument_id` INT64 NOT NULL OPTIONS(description='Vendor\'s id of the contract, unique within a day only; negative where the delivery named the contract but gave no id.'),
  `open` FLOAT64 NOT NULL OPTIONS(description='First traded price of the bar or session, unadjusted. [quote unit]'),
  `close_decision` FLOAT64 NOT NULL OPTIONS(description='Close of the session\'s last intraday bar that had ended by 13:20 America/Chicago of the trade date. [quote unit]'),
  `decision_bar_end` TIMESTAMP NOT NULL OPTIONS(description='End of that bar (UTC): no later trade is in close_decision.'),
  `bar_source` STRING NOT NULL OPTIONS(description='What the session was built from: the finest stored schema that covers it.'),
  `boundary_instrument_id` INT64 OPTIONS(description='Contract of the bars that this session rejected as roll_boundary because they precede the switch; NULL when there were none.'),
  `boundary_close` FLOAT64 OPTIONS(description='Close of the last such bar: the old contract\'s last price before the switch. [quote unit]'),
  `dataset` STRING OPTIONS(description='Vendor dataset, e.g. GLBX.MDP3; simulated data says SIM.DEMO.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `date`
CLUSTER BY `symbol`
OPTIONS(description='The session of each symbol and trade date as it stood at the decision time (13:20 America/Chicago): from bars that had ended by then, whether or not the session is complete. A symbol of which none had is left out.');

CREATE TABLE IF NOT EXISTS `market_data.futures_decision_1d` (
  `date` DATE NOT NULL OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours; on holidays that are traded without a settlement the next business day.'),
  `symbol` STRING NOT NULL OPTIONS(description='Market: the root for the platform\'s continuous series, else the vendor\'s symbol.'),
  `contract` STRING OPTIONS(description='Contract the prices belong to, e.g. ZLZ5; NULL when neither the delivery nor a definition names it.'),
  `instrument_id` INT64 NOT NULL OPTIONS(description='Vendor\'s id of the contract, unique within a day only; negative where the delivery named the contract but gave no id.'),
  `close_decision` FLOAT64 NOT NULL OPTIONS(description='Close of the session\'s last intraday bar that had ended by 13:20 America/Chicago of the trade date. [quote unit]'),
  `decision_bar_end` TIMESTAMP NOT NULL OPTIONS(description='End of that bar (UTC): no later trade is in close_decision.'),
  `adj_factor` FLOAT64 OPTIONS(description='Forward ratio factor of the session\'s contract, the same whenever it is front: 1 for the first contract, then the old contract\'s times old price / new price. NULL if a price was not positive. [ratio]'),
  `adj_close_decision` FLOAT64 OPTIONS(description='close_decision x adj_factor. [adjusted price]'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `date`
CLUSTER BY `symbol`
OPTIONS(description='The front contract of each product as it stood at the decision time, with its forward factor: what rows of other markets may know of it. A product that had not traded since its last session has no row.');

CREATE TABLE IF NOT EXISTS `market_data.crush_legs_1d` (
  `date` DATE NOT NULL OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours; on holidays that are traded without a settlement the next business day.'),
  `symbol` STRING NOT NULL OPTIONS(description='Market: the root for the platform\'s continuous series, else the vendor\'s symbol.'),
  `crush_oil_price` FLOAT64 OPTIONS(description='Close of soybean oil in the matched month; NULL while months do not match. [USc/lb]'),
  `crush_meal_price` FLOAT64 OPTIONS(description='Close of soybean meal in the matched month; NULL likewise. [USD/short_ton]'),
  `crush_bean_price` FLOAT64 OPTIONS(description='Close of soybeans in the matched month; NULL likewise. [USc/bu]'),
  `crush_bean_month` DATE OPTIONS(description='First day of the delivery month of the soybeans; NULL where only continuous symbols were delivered and no definitions, which say their months.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `date`
CLUSTER BY `symbol`
OPTIONS(description='Soybean oil, meal and soybeans in delivery months that go together, one row per ZL session: by the months of the outrights where they are known, else the continuous series while all three are in contracts that they rolled to together.');

CREATE TABLE IF NOT EXISTS `market_data.roll_calendar` (
  `date` DATE NOT NULL OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours; on holidays that are traded without a settlement the next business day.'),
  `symbol` STRING NOT NULL OPTIONS(description='Market: the root for the platform\'s continuous series, else the vendor\'s symbol.'),
  `from_contract` STRING OPTIONS(description='Contract that was front before the roll; NULL where its name is not known.'),
  `contract` STRING OPTIONS(description='Contract the prices belong to, e.g. ZLZ5; NULL when neither the delivery nor a definition names it.'),
  `from_instrument_id` INT64 OPTIONS(description='The vendor\'s id of the contract that was front before the roll.'),
  `instrument_id` INT64 NOT NULL OPTIONS(description='Vendor\'s id of the contract, unique within a day only; negative where the delivery named the contract but gave no id.'),
  `delivery_month` DATE OPTIONS(description='First day of the contract\'s delivery month.'),
  `first_notice_date` DATE OPTIONS(description='Last business day before the delivery month, from which on holders may be called to take delivery; NULL for products that are not rolled before it.'),
  `forced_roll_date` DATE OPTIONS(description='First trade date on which the contract may no longer be front by the product\'s rule; NULL for no such rule.'),
  `last_trade_date` DATE OPTIONS(description='Date in Chicago on which trading of the contract ends, as the day\'s definition, or an end-of-day row, says; NULL without one.'),
  `roll_method` STRING NOT NULL OPTIONS(description='How the factor of the session\'s contract was found when it became front: both_legs compares both contracts\' closes of one earlier session; adjacent_bars compares the old contract\'s last bar with the new contract\'s first; after_gap does so across missing sessions or after one that was delivered in part; kept: it was front before and keeps its factor; undefined: a price is not positive. NULL without a roll.'),
  `roll_span_trade_dates` INT64 OPTIONS(description='Trade dates between the two prices that the roll compares: 0 when both belong to one session; NULL without a roll. [trade dates]'),
  `roll_gap` FLOAT64 OPTIONS(description='New contract\'s price minus the old one\'s at the switch, unadjusted; NULL without a roll. [quote unit]'),
  `roll_ratio` FLOAT64 OPTIONS(description='Factor of the new contract over that of the old one. [ratio]'),
  `adj_factor` FLOAT64 OPTIONS(description='Forward ratio factor of the session\'s contract, the same whenever it is front: 1 for the first contract, then the old contract\'s times old price / new price. NULL if a price was not positive. [ratio]'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `date`
CLUSTER BY `symbol`
OPTIONS(description='When each continuous series changed its contract, by the first session of the new one, with the dates that matter for the new contract and how its factor was found.');

CREATE TABLE IF NOT EXISTS `market_data.futures_curve_1d` (
  `date` DATE NOT NULL OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours; on holidays that are traded without a settlement the next business day.'),
  `root` STRING NOT NULL OPTIONS(description='Product root, e.g. ZL.'),
  `contract` STRING NOT NULL OPTIONS(description='Contract the prices belong to, e.g. ZLZ5; NULL when neither the delivery nor a definition names it.'),
  `instrument_id` INT64 NOT NULL OPTIONS(description='Vendor\'s id of the contract, unique within a day only; negative where the delivery named the contract but gave no id.'),
  `delivery_month` DATE NOT NULL OPTIONS(description='First day of the contract\'s delivery month.'),
  `month_code` STRING OPTIONS(description='Letter of the delivery month, F for January to Z for December.'),
  `months_to_delivery` INT64 OPTIONS(description='Calendar months from that of the trade date to the delivery month. [months]'),
  `last_trade_date` DATE OPTIONS(description='Date in Chicago on which trading of the contract ends, as the day\'s definition, or an end-of-day row, says; NULL without one.'),
  `close` FLOAT64 OPTIONS(description='Last traded price, unadjusted. [quote unit]'),
  `volume` INT64 OPTIONS(description='Contracts traded. [contracts]'),
  `session_quality` STRING OPTIONS(description='Whether the session is what the exchange held, judged by itself and earlier ones: complete; early_close (the calendar says so); thin (hardly traded, e.g. the last days of a contract); holed (hours usually traded are missing); cut (they are missing up to the close); doubtful (one is missing on a day that the vendor calls degraded, missing or pending, which it may say much later: no feature). NULL where too little is known to tell.'),
  `settle` FLOAT64 OPTIONS(description='Settlement price of the trade date, as published last; NULL where none was, and where the exchange says 0 for a contract that nobody trades. Known after the session\'s decision time. [quote unit]'),
  `settle_is_final` BOOL OPTIONS(description='Whether the exchange calls the settlement final; NULL where it says nothing of it.'),
  `open_interest` INT64 OPTIONS(description='Open contracts at the end of the trade date, as published last, mostly on the next one. [contracts]'),
  `settlement_complete` BOOL OPTIONS(description='Whether nothing that is published from now on changes what the row says of settlement, open interest and cleared volume: a later trade date was spoken of, or enough time has passed. NULL where nothing is landed.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `date`
CLUSTER BY `root`
OPTIONS(description='Every contract of each product that is known by name and traded or was settled on a trade date on which the product has a session, up to its delivery month: outrights, and ranks of continuous symbols that a definition names.');
