-- Generated from cbi_dagster/catalog by `make generate`. Do not edit.

CREATE TABLE IF NOT EXISTS `predictions.trump_action_daily` (
  `date` DATE NOT NULL OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours; on holidays that are traded without a settlement the next business day.'),
  `action` STRING NOT NULL OPTIONS(description='What may be done.'),
  `action_status` STRING NOT NULL OPTIONS(description='ok; rate_only: the posts are counted but what they say is unknown; no_coverage: no source covers the 24 h to the decision time.'),
  `probability` FLOAT64 OPTIONS(description='Probability by the expert rule that a post states the action within horizon_hours: the rule\'s curve at driver_rate. Not calibrated: predictions.policy_action_calibration says how it fared. [fraction]'),
  `driver_rate` FLOAT64 OPTIONS(description='What the rule makes the probability of. [points/day]'),
  `top_action` STRING OPTIONS(description='The date\'s most probable action; none where all are 0, NULL where one is unknown.'),
  `timing` STRING NOT NULL OPTIONS(description='When the action is to be expected if it comes, in words.'),
  `horizon_hours` INT64 NOT NULL OPTIONS(description='Hours after the decision time that the probability is for. [hours]'),
  `risk_score` FLOAT64 OPTIONS(description='30 min(post_rate/10, 1) + 40 min(threat_rate/20, 1) + 30 min(signal_rate/10, 1). [0..100]'),
  `risk_level` STRING OPTIONS(description='LOW below a risk_score of 25, MODERATE below 50, HIGH below 75, else EXTREME.'),
  `trigger_terms` STRING OPTIONS(description='Groups of terms behind driver_rate with their points a day, largest first.'),
  `trigger_post_ids` STRING OPTIONS(description='The 3 posts that add most to driver_rate, by post_id, separated by commas.'),
  `trigger_excerpt` STRING OPTIONS(description='How the first of them begins (up to 140 characters).'),
  `stated_posts` INT64 OPTIONS(description='Posts since the decision time of the session before that state the action; of a storm whether there is one. [posts]'),
  `text_coverage_24h` FLOAT64 NOT NULL OPTIONS(description='Share of the 24 h to the decision time in which the texts of a source are known. [fraction]'),
  `posts_24h` INT64 OPTIONS(description='Social posts of the 24 h to the decision time. [posts]'),
  `posts_per_day_7d` FLOAT64 OPTIONS(description='Social posts of the 7 days to the decision time, over 7. [posts/day]'),
  `posts_acceleration` FLOAT64 OPTIONS(description='posts_24h - posts_per_day_7d. [posts/day]'),
  `night_share_7d` FLOAT64 OPTIONS(description='Share of 7 days\' social posts from 0:00 to 4:59 New York. [fraction]'),
  `early_share_7d` FLOAT64 OPTIONS(description='Share of 7 days\' social posts from 5:00 to 8:59 New York. [fraction]'),
  `hours_share_7d` FLOAT64 OPTIONS(description='Share of 7 days\' social posts from 9:00 to 15:59 New York. [fraction]'),
  `exclamations_per_1000` FLOAT64 OPTIONS(description='Exclamation marks per 1000 characters of the texts of 7 days. [marks]'),
  `caps_share` FLOAT64 OPTIONS(description='Share of capitals in the letters of the texts of 7 days. [fraction]'),
  `threat_rate` FLOAT64 OPTIONS(description='Points for tariffs, retaliation, taxes, China and unfairness, decayed by exp(-hours/24). [points/day]'),
  `signal_rate` FLOAT64 OPTIONS(description='Posts that say something is coming, decayed by exp(-hours/24). [posts/day]'),
  `post_rate` FLOAT64 OPTIONS(description='Social posts, decayed by exp(-hours/24). [posts/day]'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `date`
CLUSTER BY `action`
OPTIONS(description='How probable the posts of the last seven days make each of seven policy actions, as of 13:20 Chicago, on every trade date of ZL or MES: by an expert rule that is calibrated on nothing.');

CREATE TABLE IF NOT EXISTS `predictions.policy_event_study` (
  `date` DATE NOT NULL OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours; on holidays that are traded without a settlement the next business day.'),
  `subject_kind` STRING NOT NULL OPTIONS(description='Whether `subject` is an action or a topic of posts.'),
  `subject` STRING NOT NULL OPTIONS(description='An action, or a topic (policy.yaml).'),
  `horizon` INT64 NOT NULL OPTIONS(description='Sessions from the first decision price after the posts to the end of the move. [sessions]'),
  `event_days` INT64 NOT NULL OPTIONS(description='Sessions at whose decision time such posts were new, as far as their move is known. [sessions]'),
  `independent_windows` INT64 NOT NULL OPTIONS(description='Those of them that are counted: none begins before the window of the one before has ended. [windows]'),
  `mean_move` FLOAT64 OPTIONS(description='Mean move of adjusted soybean oil over the counted windows. [fraction]'),
  `mean_move_low` FLOAT64 OPTIONS(description='Lower end of the 95 % interval of mean_move (Student). [fraction]'),
  `mean_move_high` FLOAT64 OPTIONS(description='Upper end of the 95 % interval of mean_move (Student). [fraction]'),
  `base_move` FLOAT64 OPTIONS(description='Mean move over as many sessions from every session that posts cover. [fraction]'),
  `rising_share` FLOAT64 OPTIONS(description='Share of the counted windows in which the price rose. [fraction]'),
  `base_rising_share` FLOAT64 OPTIONS(description='Share of all such windows in which the price rose. [fraction]'),
  `p_value` FLOAT64 OPTIONS(description='Two-sided, of mean_move being base_move; NULL with fewer than 20 windows. [fraction]'),
  `p_value_adjusted` FLOAT64 OPTIONS(description='p_value by Holm over all subjects and horizons of the date. [fraction]'),
  `prior_move` FLOAT64 OPTIONS(description='Expected move of the expert prior; NULL for topics and where no prior is stated. [fraction]'),
  `move_support` STRING NOT NULL OPTIONS(description='untested: fewer than 20 windows or no prior; none: p_value_adjusted above 0.05; else whether mean_move - base_move has the sign of prior_move.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `date`
CLUSTER BY `subject`
OPTIONS(description='How adjusted soybean oil moved after posts that state an action or are about a topic, from the decision price after them over 1, 2 and 5 sessions. Studied anew at the first session of every month, from moves that had ended by then: the study of a date is known on it.');

CREATE TABLE IF NOT EXISTS `predictions.policy_action_calibration` (
  `date` DATE NOT NULL OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours; on holidays that are traded without a settlement the next business day.'),
  `action` STRING NOT NULL OPTIONS(description='What may be done.'),
  `held_out_year` INT64 NOT NULL OPTIONS(description='Calendar year that is predicted by what was known before it.'),
  `held_out_days` INT64 NOT NULL OPTIONS(description='Sessions of the year with a probability whose horizon has passed. [sessions]'),
  `stated_days` INT64 NOT NULL OPTIONS(description='Those of them after which the action was stated within its horizon. [sessions]'),
  `prior_rate` FLOAT64 OPTIONS(description='Share of such sessions in all years before: the base rate; NULL for a year that is not tested: fewer than 250 sessions before it, or fewer than 10 of them that were followed by the action, or that were not. [fraction]'),
  `brier_base_rate` FLOAT64 OPTIONS(description='Mean squared error of prior_rate as a prediction; NULL for a year that is not tested: fewer than 250 sessions before it, or fewer than 10 of them that were followed by the action, or that were not.'),
  `brier_rule` FLOAT64 OPTIONS(description='Mean squared error of `probability`; NULL for a year that is not tested: fewer than 250 sessions before it, or fewer than 10 of them that were followed by the action, or that were not.'),
  `brier_logistic` FLOAT64 OPTIONS(description='Mean squared error of a logistic regression on the raw features, fitted to the years before; NULL for a year that is not tested: fewer than 250 sessions before it, or fewer than 10 of them that were followed by the action, or that were not.'),
  `tested_years` INT64 NOT NULL OPTIONS(description='Held-out years so far, this one included. [years]'),
  `rule_better_years` INT64 NOT NULL OPTIONS(description='Those of them in which brier_rule is below brier_base_rate. [years]'),
  `probability_support` STRING NOT NULL OPTIONS(description='untested: fewer than 3 held-out years; supported: over all of them together the rule\'s error is at least 2 % below the base rate\'s, and below it in two years of three; contradicted: at least 2 % above; else none.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `date`
CLUSTER BY `action`
OPTIONS(description='How the rule\'s probabilities fared in the calendar year before, against the base rate and a logistic regression that know the years before it only. Dated with the first session of the next year.');

CREATE TABLE IF NOT EXISTS `predictions.zl_impact_daily` (
  `date` DATE NOT NULL OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours; on holidays that are traded without a settlement the next business day.'),
  `action` STRING NOT NULL OPTIONS(description='What may be done.'),
  `probability` FLOAT64 OPTIONS(description='Probability by the expert rule that a post states the action within horizon_hours: the rule\'s curve at driver_rate. Not calibrated: predictions.policy_action_calibration says how it fared. [fraction]'),
  `impact_status` STRING NOT NULL OPTIONS(description='ok; no_coverage: the probability is unknown; no_prior: no impact is stated for the action; inputs_missing: a modifier is unknown (`missing_inputs`), so that only bounds are known; no_price: soybean oil did not trade.'),
  `missing_inputs` STRING OPTIONS(description='Modifiers that matter to the action and are unknown, separated by commas; NULL where none is, and for an action without a prior.'),
  `zl_price` FLOAT64 OPTIONS(description='Close of the soybean oil contract of the date, unadjusted. [USc/lb]'),
  `prior_move` FLOAT64 OPTIONS(description='Expected move of the expert prior; NULL for topics and where no prior is stated. [fraction]'),
  `impact_hours` INT64 OPTIONS(description='Hours within which the move is expected if the action comes; NULL without a prior. [hours]'),
  `move_confidence` FLOAT64 OPTIONS(description='How sure the expert prior calls itself: a judgement; NULL without a prior. [fraction]'),
  `reliability` STRING OPTIONS(description='HIGH for a move_confidence above 0.75, MEDIUM above 0.60, else LOW; NULL without a prior.'),
  `vix` FLOAT64 OPTIONS(description='Volatility index as known at the decision time. [index points]'),
  `harvest_progress` FLOAT64 OPTIONS(description='Share of the US soybean area that is harvested, as known at the decision time. [fraction]'),
  `inventory_rank` FLOAT64 OPTIONS(description='Rank of soybean oil stocks among those of past months, as known at the decision time. [fraction]'),
  `argentina_discount` FLOAT64 OPTIONS(description='Soybean oil FOB US Gulf minus FOB Argentina, as known at the decision time. [USD/t]'),
  `modifier` FLOAT64 OPTIONS(description='Product of the modifiers; NULL if one is unknown. [ratio]'),
  `modifier_low` FLOAT64 OPTIONS(description='The lowest that `modifier` can be, given what is known. [ratio]'),
  `modifier_high` FLOAT64 OPTIONS(description='The highest that `modifier` can be, given what is known. [ratio]'),
  `expected_move` FLOAT64 OPTIONS(description='prior_move x modifier. [fraction]'),
  `expected_price` FLOAT64 OPTIONS(description='zl_price x (1 + expected_move). [USc/lb]'),
  `best_price` FLOAT64 OPTIONS(description='The low end of the prior\'s range: best for a buyer. Over all that `modifier` can be. [USc/lb]'),
  `worst_price` FLOAT64 OPTIONS(description='The high end of the prior\'s range: worst for a buyer. Over all that `modifier` can be. [USc/lb]'),
  `expected_change_cwt` FLOAT64 OPTIONS(description='zl_price x expected_move; cents per pound are dollars per hundredweight. [USD/cwt]'),
  `urgency` STRING OPTIONS(description='URGENT for an expected move beyond 3 % with confidence above 0.75, HIGH beyond 2 % and 0.70, MODERATE beyond 1 %, else LOW; NULL where what is unknown decides.'),
  `alert` BOOL OPTIONS(description='Whether probability exceeds 0.30 and urgency is HIGH or URGENT.'),
  `study_date` DATE OPTIONS(description='The event study that the row knows: its date.'),
  `event_days` INT64 OPTIONS(description='Sessions at whose decision time such posts were new, as far as their move is known. [sessions]'),
  `independent_windows` INT64 OPTIONS(description='Those of them that are counted: none begins before the window of the one before has ended. [windows]'),
  `mean_move` FLOAT64 OPTIONS(description='Mean move of adjusted soybean oil over the counted windows. [fraction]'),
  `mean_move_low` FLOAT64 OPTIONS(description='Lower end of the 95 % interval of mean_move (Student). [fraction]'),
  `mean_move_high` FLOAT64 OPTIONS(description='Upper end of the 95 % interval of mean_move (Student). [fraction]'),
  `base_move` FLOAT64 OPTIONS(description='Mean move over as many sessions from every session that posts cover. [fraction]'),
  `move_support` STRING OPTIONS(description='untested: fewer than 20 windows or no prior; none: p_value_adjusted above 0.05; else whether mean_move - base_move has the sign of prior_move.'),
  `probability_support` STRING NOT NULL OPTIONS(description='untested: fewer than 3 held-out years; supported: over all of them together the rule\'s error is at least 2 % below the base rate\'s, and below it in two years of three; contradicted: at least 2 % above; else none.'),
  `buyer_text` STRING OPTIONS(description='What this may mean to a buyer, in probabilities and for both sides.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `date`
CLUSTER BY `action`
OPTIONS(description='What each policy action is expected to do to soybean oil if it comes: an expert prior, modified by what is known of volatility, harvest, stocks and Argentina, with how far the past supports it and a text for a buyer.');

CREATE TABLE IF NOT EXISTS `predictions.zl_forests` (
  `date` DATE NOT NULL OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours; on holidays that are traded without a settlement the next business day.'),
  `symbol` STRING NOT NULL OPTIONS(description='Market: the root for the platform\'s continuous series, else the vendor\'s symbol.'),
  `target_horizon` STRING NOT NULL OPTIONS(description='The horizon of the target, by the name that training tables have.'),
  `trained_rows` INT64 NOT NULL OPTIONS(description='Rows that the model learned from. [rows]'),
  `trained_to` DATE NOT NULL OPTIONS(description='The last trade date whose close it knew when it learned; NULL where it learned nothing.'),
  `forest_features` STRING NOT NULL OPTIONS(description='The features that the trees look at, separated by commas: flattened fields of the matrix; numbers, booleans as 0 and 1, strings by their place among the values that are declared.'),
  `forest_splits` STRING NOT NULL OPTIONS(description='base64, little-endian: what each of the 50 trees begins with (int32), then the splits of all trees, one after the other: feature by its place from 0 (int16), threshold (float64), what lies left and right of it (int32 each), whether the unknown goes left (1 byte). Left is a feature, in single precision, of at most the threshold. A number from 0 is a split by its place, a negative one a leaf of the tree: -1 - its number.'),
  `forest_leaves` STRING NOT NULL OPTIONS(description='base64: of each tree, for each row that it learned from, the number of the leaf in which that fell; a byte each, or two (little-endian) where a tree has more than 256 leaves.'),
  `forest_returns` STRING NOT NULL OPTIONS(description='base64, little-endian: the return of each row that was learned from (float64), ascending: their order in forest_leaves.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `date`
CLUSTER BY `target_horizon`
OPTIONS(description='What the baseline learned of soybean oil at the first session of each year, from targets that had come before that year, where these were enough: the trees that the forecasts of the year are made of, as text.');

CREATE TABLE IF NOT EXISTS `predictions.zl_forecasts` (
  `date` DATE NOT NULL OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours; on holidays that are traded without a settlement the next business day.'),
  `symbol` STRING NOT NULL OPTIONS(description='Market: the root for the platform\'s continuous series, else the vendor\'s symbol.'),
  `target_horizon` STRING NOT NULL OPTIONS(description='The horizon of the target, by the name that training tables have.'),
  `model` STRING NOT NULL OPTIONS(description='quantile_forest: the baseline that learns from features; past_returns: the quantiles of all returns that it learned from; no_change: a return of zero.'),
  `timestamp` TIMESTAMP NOT NULL OPTIONS(description='Decision time of the row (UTC): the session close of its symbol, or the end of its last bar where that is later.'),
  `close` FLOAT64 NOT NULL OPTIONS(description='Last traded price, unadjusted. [quote unit]'),
  `trained_rows` INT64 NOT NULL OPTIONS(description='Rows that the model learned from. [rows]'),
  `trained_to` DATE OPTIONS(description='The last trade date whose close it knew when it learned; NULL where it learned nothing.'),
  `forecast_p10` FLOAT64 OPTIONS(description='Forecast of the simple return, quantile 0.1; NULL where the model learned nothing or is no_change, which states no distribution. [fraction]'),
  `forecast_p50` FLOAT64 OPTIONS(description='Forecast of the simple return, quantile 0.5; NULL where the model learned nothing. [fraction]'),
  `forecast_p90` FLOAT64 OPTIONS(description='Forecast of the simple return, quantile 0.9; NULL where the model learned nothing or is no_change, which states no distribution. [fraction]'),
  `forecast_price_p10` FLOAT64 OPTIONS(description='close x (1 + forecast_p10): the close that is forecast, in the contract of the row\'s date. [quote unit]'),
  `forecast_price_p50` FLOAT64 OPTIONS(description='close x (1 + forecast_p50): the close that is forecast, in the contract of the row\'s date. [quote unit]'),
  `forecast_price_p90` FLOAT64 OPTIONS(description='close x (1 + forecast_p90): the close that is forecast, in the contract of the row\'s date. [quote unit]'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
PARTITION BY `date`
CLUSTER BY `target_horizon`, `model`
OPTIONS(description='Soybean oil over each horizon of its training tables, by a baseline and by two naive forecasts, as known at the decision time. A model learns at the beginning of each year, from targets that had come by then (zl_forests); it is tuned to nothing.');
