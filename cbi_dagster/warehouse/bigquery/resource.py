"""dagster-gcp's resource on the project that the tables are in, for assets of one's own.

The tables themselves are written by the warehouse. Nothing is put into the environment of the process: dagster-gcp's
own resource writes credentials there, where runs at the same time would take each other's.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager

from dagster_gcp import BigQueryResource
from google.cloud import bigquery
from pydantic import Field

from cbi_dagster.warehouse.bigquery.client import BigQuerySettings, Service, credentials_of


class ProjectResource(BigQueryResource):
    """Fields as in dagster-gcp: project, location, gcp_credentials (a service account's key in base64); and these."""

    endpoint: str = Field(default="", description="REST address of a server in place of Google's.")
    key_file: str = Field(default="", description="A service account's key file, where gcp_credentials is not set.")

    @staticmethod
    def of(settings: BigQuerySettings) -> ProjectResource:
        """The resource that speaks to the project of a warehouse as the warehouse does."""
        return ProjectResource(
            project=settings.project,
            location=settings.location,
            endpoint=settings.endpoint,
            key_file=settings.key_file,
        )

    @contextmanager
    def get_client(self) -> Iterator[bigquery.Client]:
        if not self.project:
            raise ValueError("the resource names no project")
        settings = BigQuerySettings(self.project, self.location or "US", endpoint=self.endpoint, key_file=self.key_file)
        credentials = None
        if self.gcp_credentials:
            credentials = credentials_of(json.loads(base64.b64decode(self.gcp_credentials)))
        with Service(settings, credentials).client as client:
            yield client
