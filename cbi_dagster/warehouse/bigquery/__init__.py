"""The engine for many machines: tables in BigQuery, written by one transaction a change, read as of one moment."""

from cbi_dagster.warehouse.bigquery.client import BigQuerySettings
from cbi_dagster.warehouse.bigquery.engine import BigQueryWarehouse

__all__ = ["BigQuerySettings", "BigQueryWarehouse"]
