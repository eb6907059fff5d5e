-- What is held of every table and landing source: partitions and rows, how fresh they are, how its last run ended, and
-- how many rows were left out. Files that failed when they were last landed have a row too.
WITH held AS (
  SELECT
    table_name,
    COUNT(*) AS partitions,
    COUNTIF(row_count > 0) AS partitions_with_rows,
    SUM(row_count) AS table_rows,
    MIN(IF(row_count > 0, partition_key, NULL)) AS first_partition,
    MAX(IF(row_count > 0, partition_key, NULL)) AS last_partition,
    MAX(written_at) AS last_written_at,
    MAX(verified_at) AS last_verified_at
  FROM ops.partition_ledger
  GROUP BY table_name
),
last_run AS (
  SELECT source, run_status, ended_at, error_message, code_version
  FROM ops.ingestion_runs
  QUALIFY ROW_NUMBER() OVER (PARTITION BY source ORDER BY ended_at DESC, event_id DESC) = 1
),
rejected AS (
  SELECT table_name, COUNT(*) AS rejected_rows FROM ops.quarantine GROUP BY table_name
),
waiting AS (
  SELECT table_name, SUM(bar_rows) AS held_back_rows FROM ops.held_back GROUP BY table_name
)
SELECT
  COALESCE(held.table_name, last_run.source) AS table_name,
  held.partitions,
  held.partitions_with_rows,
  held.table_rows,
  held.first_partition,
  held.last_partition,
  held.last_written_at,
  held.last_verified_at,
  last_run.run_status AS last_run_status,
  last_run.ended_at AS last_run_ended_at,
  last_run.error_message AS last_error,
  COALESCE(rejected.rejected_rows, 0) AS rejected_rows,
  COALESCE(waiting.held_back_rows, 0) AS held_back_rows
FROM held
FULL JOIN last_run ON last_run.source = held.table_name
LEFT JOIN rejected ON rejected.table_name = COALESCE(held.table_name, last_run.source)
LEFT JOIN waiting ON waiting.table_name = COALESCE(held.table_name, last_run.source)
WHERE
  held.table_name IS NOT NULL
  OR last_run.run_status = 'failed'
  -- Of files that were taken there is no more to tell; they have no code of their own.
  OR last_run.code_version IS NOT NULL
