-- Generated from cbi_dagster/catalog by `make generate`. Do not edit.

CREATE TABLE IF NOT EXISTS `ops.partition_ledger` (
  `table_name` STRING NOT NULL OPTIONS(description='Table a record is about, `dataset.name`.'),
  `partition_key` STRING NOT NULL OPTIONS(description='Dagster partition key: a trade date, the first day of a month, or `all`.'),
  `content_hash` STRING NOT NULL OPTIONS(description='Digest of the partition\'s rows without audit columns.'),
  `row_count` INT64 NOT NULL OPTIONS(description='Rows of the partition. [rows]'),
  `written_at` TIMESTAMP NOT NULL OPTIONS(description='When the partition\'s content last changed (UTC).'),
  `written_run` STRING OPTIONS(description='Run that wrote the content.'),
  `code_version` STRING NOT NULL OPTIONS(description='Code version of the table under which the content was last confirmed.'),
  `input_fingerprint` STRING NOT NULL OPTIONS(description='Digest of the inputs\' content in the declared window when last confirmed.'),
  `verified_at` TIMESTAMP NOT NULL OPTIONS(description='When the content was last confirmed (UTC).'),
  `verified_run` STRING OPTIONS(description='Run that confirmed the content.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
OPTIONS(description='What each partition holds (content hash, rows, written when and by which run) and under which code version and inputs that content was last confirmed (verification).');

CREATE TABLE IF NOT EXISTS `ops.code_versions` (
  `table_name` STRING NOT NULL OPTIONS(description='Table a record is about, `dataset.name`.'),
  `code_version` STRING NOT NULL OPTIONS(description='Code version of the table under which the content was last confirmed.'),
  `package_files` STRING NOT NULL OPTIONS(description='Digest of the files of the package under which the version was last found.'),
  `code_parts` STRING NOT NULL OPTIONS(description='Digests of what the version is made of, by name (JSON).'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
OPTIONS(description='Versions of the tables\' code that something was built with: what each was made of, and under which files of the package it was last found.');

CREATE TABLE IF NOT EXISTS `ops.quarantine` (
  `table_name` STRING NOT NULL OPTIONS(description='Table a record is about, `dataset.name`.'),
  `date` DATE OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours; on holidays that are traded without a settlement the next business day.'),
  `file_hash` STRING NOT NULL OPTIONS(description='SHA-256 of a landed file.'),
  `source_file` STRING NOT NULL OPTIONS(description='Name of the landed file the bar came from; not part of the row\'s content.'),
  `source_row` INT64 NOT NULL OPTIONS(description='Row (0-based) in that file; not part of the row\'s content.'),
  `symbol` STRING NOT NULL OPTIONS(description='Market: the root for the platform\'s continuous series, else the vendor\'s symbol.'),
  `ts_event` TIMESTAMP NOT NULL OPTIONS(description='Start of the bar (UTC, inclusive).'),
  `reason` STRING NOT NULL OPTIONS(description='Why a row was rejected or held back.'),
  `detail` STRING OPTIONS(description='The rejected values, for a person to read.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
OPTIONS(description='Rows that were rejected, where they came from and why. Rows of a partition are replaced when it is rebuilt; they know their file by its name alone and have an empty `file_hash`.');

CREATE TABLE IF NOT EXISTS `ops.held_back` (
  `table_name` STRING NOT NULL OPTIONS(description='Table a record is about, `dataset.name`.'),
  `date` DATE NOT NULL OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours; on holidays that are traded without a settlement the next business day.'),
  `symbol` STRING NOT NULL OPTIONS(description='Market: the root for the platform\'s continuous series, else the vendor\'s symbol.'),
  `vendor_schema` STRING NOT NULL OPTIONS(description='Vendor schema of a file or bar; `macro` for a file of macro series, `posts` and `posts-coverage` for files of posts and of what is known of them, empty for rows of a table.'),
  `reason` STRING NOT NULL OPTIONS(description='Why a row was rejected or held back.'),
  `bar_rows` INT64 OPTIONS(description='Number of bars or rows. [rows]'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
OPTIONS(description='Rows that are sound and not in the table all the same, counted per table, trade date, symbol and reason: bars that wait for the rest of their session, training rows without a label.');

CREATE TABLE IF NOT EXISTS `ops.landed_files` (
  `file_hash` STRING NOT NULL OPTIONS(description='SHA-256 of a landed file.'),
  `landing_sequence` INT64 NOT NULL OPTIONS(description='Landing order: on the same bar the higher number wins.'),
  `source_file` STRING NOT NULL OPTIONS(description='Name of the landed file the bar came from; not part of the row\'s content.'),
  `file_bytes` INT64 OPTIONS(description='Size of the file. [bytes]'),
  `dataset` STRING NOT NULL OPTIONS(description='Vendor dataset, e.g. GLBX.MDP3; simulated data says SIM.DEMO.'),
  `vendor_schema` STRING NOT NULL OPTIONS(description='Vendor schema of a file or bar; `macro` for a file of macro series, `posts` and `posts-coverage` for files of posts and of what is known of them, empty for rows of a table.'),
  `stype_in` STRING OPTIONS(description='How the request named its symbols.'),
  `span_start` TIMESTAMP NOT NULL OPTIONS(description='Start of what the file covers (UTC, inclusive).'),
  `span_end` TIMESTAMP NOT NULL OPTIONS(description='End of what the file covers (UTC, exclusive).'),
  `file_rows` INT64 OPTIONS(description='Rows of the file. [rows]'),
  `kept_rows` INT64 OPTIONS(description='Rows taken: bars of the universe, vintages of a series, posts, days. [rows]'),
  `rejected_rows` INT64 OPTIONS(description='Rows rejected with a reason, those of symbols outside the universe not counted. [rows]'),
  `outside_rows` INT64 OPTIONS(description='Rows of symbols outside the universe, left out. [rows]'),
  `landed_at` TIMESTAMP OPTIONS(description='When the file was landed (UTC).'),
  `withdrawn_at` TIMESTAMP OPTIONS(description='When the file was withdrawn (UTC); NULL in the record of a landing.'),
  `refused_because` STRING OPTIONS(description='Why a landed file no longer counts: what the present rules say of it, found when it was read anew; else NULL.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
OPTIONS(description='What became of vendor files, in order: a row for each that was verified and taken, for each that was taken again so that it wins, and for each that was withdrawn. The last row of a `file_hash` says what holds. A file that later rules refuse counts for nothing, as in a warehouse that is landed now.');

CREATE TABLE IF NOT EXISTS `ops.landed_symbols` (
  `file_hash` STRING NOT NULL OPTIONS(description='SHA-256 of a landed file.'),
  `symbol` STRING NOT NULL OPTIONS(description='Market: the root for the platform\'s continuous series, else the vendor\'s symbol.'),
  `root` STRING OPTIONS(description='Product root, e.g. ZL.'),
  `mapping_start` DATE NOT NULL OPTIONS(description='First UTC date of a symbol\'s mapping (inclusive).'),
  `mapping_end` DATE OPTIONS(description='End of a symbol\'s mapping (UTC date, exclusive).'),
  `instrument_id` INT64 OPTIONS(description='Vendor\'s id of the contract, unique within a day only; negative where the delivery named the contract but gave no id.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
OPTIONS(description='The vendor\'s symbology of each landed file for the universe\'s symbols: which contract a symbol stood for on which UTC dates. A symbol the vendor could not resolve in the file\'s span has one row with NULL instrument_id.');

CREATE TABLE IF NOT EXISTS `ops.corrections` (
  `file_hash` STRING NOT NULL OPTIONS(description='SHA-256 of a landed file.'),
  `vendor_schema` STRING OPTIONS(description='Vendor schema of a file or bar; `macro` for a file of macro series, `posts` and `posts-coverage` for files of posts and of what is known of them, empty for rows of a table.'),
  `symbol` STRING NOT NULL OPTIONS(description='Market: the root for the platform\'s continuous series, else the vendor\'s symbol.'),
  `ts_event` TIMESTAMP NOT NULL OPTIONS(description='Start of the bar (UTC, inclusive).'),
  `date` DATE OPTIONS(description='Trade date: the date of America/Chicago wall-clock time plus seven hours; on holidays that are traded without a settlement the next business day.'),
  `old_open` FLOAT64 OPTIONS(description='Earlier open of a corrected bar. [quote unit]'),
  `old_high` FLOAT64 OPTIONS(description='Earlier high of a corrected bar. [quote unit]'),
  `old_low` FLOAT64 OPTIONS(description='Earlier low of a corrected bar. [quote unit]'),
  `old_close` FLOAT64 OPTIONS(description='Earlier close of a corrected bar. [quote unit]'),
  `old_volume` INT64 OPTIONS(description='Earlier volume of a corrected bar. [contracts]'),
  `old_instrument_id` INT64 OPTIONS(description='Earlier contract of a corrected bar.'),
  `new_open` FLOAT64 OPTIONS(description='Corrected open of a corrected bar. [quote unit]'),
  `new_high` FLOAT64 OPTIONS(description='Corrected high of a corrected bar. [quote unit]'),
  `new_low` FLOAT64 OPTIONS(description='Corrected low of a corrected bar. [quote unit]'),
  `new_close` FLOAT64 OPTIONS(description='Corrected close of a corrected bar. [quote unit]'),
  `new_volume` INT64 OPTIONS(description='Corrected volume of a corrected bar. [contracts]'),
  `new_instrument_id` INT64 OPTIONS(description='Corrected contract of a corrected bar.'),
  `old_text` STRING OPTIONS(description='Earlier text of a corrected post.'),
  `new_text` STRING OPTIONS(description='Corrected text of a corrected post; NULL for one that was taken back.'),
  `old_published_at` TIMESTAMP OPTIONS(description='Earlier time of publication of a corrected post (UTC).'),
  `new_published_at` TIMESTAMP OPTIONS(description='Corrected time of publication; NULL for a post that was taken back (UTC).'),
  `landed_at` TIMESTAMP NOT NULL OPTIONS(description='When the file was landed (UTC).'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
OPTIONS(description='What a later delivery changed, with the values before and after: a bar that it states no longer, or a post that it takes back, has no new values. Of a post, `symbol` is its identity and `ts_event` when it was published; of a statistic or a definition, `symbol` names it and `ts_event` is when it was received. A withdrawn file changes back what it had changed.');

CREATE TABLE IF NOT EXISTS `ops.vendor_spend` (
  `request_id` STRING NOT NULL OPTIONS(description='Identity of a request to the vendor\'s API.'),
  `dataset` STRING NOT NULL OPTIONS(description='Vendor dataset, e.g. GLBX.MDP3; simulated data says SIM.DEMO.'),
  `vendor_schema` STRING NOT NULL OPTIONS(description='Vendor schema of a file or bar; `macro` for a file of macro series, `posts` and `posts-coverage` for files of posts and of what is known of them, empty for rows of a table.'),
  `stype_in` STRING NOT NULL OPTIONS(description='How the request named its symbols.'),
  `request_symbols` STRING NOT NULL OPTIONS(description='The symbols of a request, with commas.'),
  `span_start` TIMESTAMP NOT NULL OPTIONS(description='Start of what the file covers (UTC, inclusive).'),
  `span_end` TIMESTAMP NOT NULL OPTIONS(description='End of what the file covers (UTC, exclusive).'),
  `request_mode` STRING NOT NULL OPTIONS(description='How the data comes: streamed, or as the files of a batch job.'),
  `request_state` STRING NOT NULL OPTIONS(description='How far a request is: sent (its end is unknown until another state stands here), submitted (a batch job is at work), received (verified, not landed yet), landed, refused (by the door, not asked for again), broken (it may have been charged, its data is not here), failed (the vendor answered with an error, nothing is charged).'),
  `spent` FLOAT64 NOT NULL OPTIONS(description='What a request cost or may have cost, by the vendor\'s price before it was made. [USD]'),
  `record_count` INT64 NOT NULL OPTIONS(description='Records that the vendor said a request has. [records]'),
  `asked_at` TIMESTAMP NOT NULL OPTIONS(description='When a request was sent (UTC).'),
  `ended_at` TIMESTAMP OPTIONS(description='When it ended (UTC).'),
  `job_id` STRING OPTIONS(description='The vendor\'s batch job, NULL for a stream.'),
  `error_message` STRING OPTIONS(description='What went wrong, NULL on success.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
OPTIONS(description='Requests to the vendor\'s API that cost money, written before each is sent and when it has ended. A request whose end is unknown counts as spent. `span_start` and `span_end`: the period that was asked for.');

CREATE TABLE IF NOT EXISTS `ops.ingestion_runs` (
  `event_id` STRING NOT NULL OPTIONS(description='Identity of a landing or of one table\'s write within a run.'),
  `source` STRING NOT NULL OPTIONS(description='What ran: a vendor file name or a table.'),
  `run_status` STRING NOT NULL OPTIONS(description='How it ended.'),
  `started_at` TIMESTAMP NOT NULL OPTIONS(description='When it started (UTC).'),
  `ended_at` TIMESTAMP OPTIONS(description='When it ended (UTC).'),
  `rows_in` INT64 OPTIONS(description='Rows that went in. [rows]'),
  `rows_out` INT64 OPTIONS(description='Rows that came out. [rows]'),
  `rows_rejected` INT64 OPTIONS(description='Rows rejected with a reason. [rows]'),
  `rows_held_back` INT64 OPTIONS(description='Rows held back: bars until their session is complete, training rows without a label. [rows]'),
  `partitions_written` INT64 OPTIONS(description='Partitions whose content changed. [partitions]'),
  `partitions_unchanged` INT64 OPTIONS(description='Partitions confirmed as they were. [partitions]'),
  `code_version` STRING OPTIONS(description='Code version of the table under which the content was last confirmed.'),
  `error_message` STRING OPTIONS(description='What went wrong, NULL on success.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
OPTIONS(description='One row per landing and per write of a table by a run: what came in, what went out, what was rejected.');

CREATE TABLE IF NOT EXISTS `ops.proofs` (
  `table_name` STRING NOT NULL OPTIONS(description='Table a record is about, `dataset.name`.'),
  `proved_at` TIMESTAMP NOT NULL OPTIONS(description='When the table was proved (UTC).'),
  `code_version` STRING NOT NULL OPTIONS(description='Code version of the table under which the content was last confirmed.'),
  `cut_instants` INT64 NOT NULL OPTIONS(description='Instants at which deliveries were cut and the table made of what was left.'),
  `rows_compared` INT64 NOT NULL OPTIONS(description='Rows so made that were compared with the stored ones. [rows]'),
  `rows_differing` INT64 NOT NULL OPTIONS(description='Rows of them that the stored table does not have so, and rows it gained. [rows]'),
  `partitions_recomputed` INT64 NOT NULL OPTIONS(description='Partitions, alone or a few together, that were made again from their declared windows. [partitions]'),
  `partitions_differing` INT64 NOT NULL OPTIONS(description='Partitions of them that came out otherwise than stored. [partitions]'),
  `proof_finding` STRING OPTIONS(description='What differed, where and at which cut; NULL for a table that stands.'),
  `ingestion_ts` TIMESTAMP OPTIONS(description='When the row was written (UTC); not part of the row\'s content.'),
  `run_id` STRING OPTIONS(description='Dagster run that wrote the row; not part of the row\'s content.')
)
OPTIONS(description='What `cbi prove` found of each table: made again from deliveries cut at instants, and from its declared windows, it is what is stored, or not.');
