"""Which project, and how it is spoken to: explicit settings, nothing that the whole process shares."""

from __future__ import annotations

import ipaddress
import json
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import requests
from google.api_core import exceptions
from google.api_core.retry import Retry
from google.auth import exceptions as auth_exceptions
from google.auth.credentials import AnonymousCredentials, Credentials
from google.cloud import bigquery
from google.oauth2 import service_account

from cbi_dagster.warehouse.contract import EngineError

if TYPE_CHECKING:
    from google.cloud.bigquery_storage_v1 import BigQueryReadClient

T = TypeVar("T")

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)

_TRANSIENT = (
    ConnectionError,
    requests.exceptions.ConnectionError,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.Timeout,
    auth_exceptions.TransportError,
    exceptions.TooManyRequests,
    exceptions.InternalServerError,
    exceptions.BadGateway,
    exceptions.ServiceUnavailable,
    exceptions.GatewayTimeout,
)
#: Reasons of the service that pass: https://cloud.google.com/bigquery/docs/error-messages
TRANSIENT_REASONS = frozenset({"backendError", "jobBackendError", "internalError", "jobInternalError"}) | frozenset(
    {"rateLimitExceeded", "jobRateLimitExceeded", "badGateway"}
)

#: For calls that are repeated by those who know what became of them.
ONCE = Retry(predicate=lambda error: False)


@dataclass(frozen=True)
class BigQuerySettings:
    """A warehouse in BigQuery: the datasets of `project` whose names begin with `prefix`, kept at `location`.

    `endpoint`: the REST address of a server in place of Google's; on the loopback interface it needs no credentials,
    and rows are read from the port above its own. `max_bytes_billed`: what a query may cost, more is refused;
    `max_run_bytes`: what all those of one run may cost together.
    `key_file`: a service account's key, the account that the machine is set up with without it. `kms_key` encrypts new
    tables; `require_partition_filter` refuses other people's queries over whole tables.
    `retry_s`: how long a call may fail before its error is told.
    """

    project: str
    location: str = "US"
    prefix: str = ""
    endpoint: str = ""
    key_file: str = ""
    max_bytes_billed: int = 1 << 40
    max_run_bytes: int = 1 << 42
    kms_key: str = ""
    require_partition_filter: bool = False
    retry_s: float = 300.0

    @property
    def is_loopback(self) -> bool:
        """Whether the service is one on this machine."""
        host = urllib.parse.urlsplit(self.endpoint).hostname or ""
        try:
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    @property
    def pause_s(self) -> float:
        """The first pause before something is asked again; a server on this machine is not spared."""
        return 0.005 if self.is_loopback else 0.5

    @property
    def staging(self) -> str:
        """The dataset of rows that are on their way; its tables expire by themselves."""
        return f"{self.prefix}cbi_staging"

    def name(self, table_id: str) -> str:
        """A table, or `*` for all, as the service knows it."""
        return f"{self.project}.{self.prefix}{table_id}"


class Service:
    """The clients of one warehouse, made when they are first needed."""

    def __init__(self, settings: BigQuerySettings, credentials: Credentials | None = None) -> None:
        self.settings = settings
        self._credentials = credentials

    @cached_property
    def client(self) -> bigquery.Client:
        """REST; raises DefaultCredentialsError where none are configured."""
        settings = self.settings
        return bigquery.Client(
            project=settings.project,
            location=settings.location,
            credentials=self._given,
            client_options={"api_endpoint": settings.endpoint} if settings.endpoint else None,
        )

    @property
    def _given(self) -> Credentials | None:
        """None for those that the machine is set up with."""
        if self.settings.is_loopback:
            return AnonymousCredentials()  # type: ignore[no-untyped-call]
        if self._credentials is None and self.settings.key_file:
            with open(self.settings.key_file, encoding="utf-8") as file:
                try:
                    return credentials_of(json.load(file))
                except (ValueError, TypeError, AttributeError) as error:
                    raise EngineError(f"{self.settings.key_file} is no service account's key: {error}") from error
        return self._credentials

    @cached_property
    def reads(self) -> BigQueryReadClient:
        """The Storage Read API."""
        from google.cloud.bigquery_storage_v1 import BigQueryReadClient

        if not self.settings.is_loopback:
            return BigQueryReadClient(credentials=self.client._credentials)
        import grpc
        from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

        place = urllib.parse.urlsplit(self.settings.endpoint)
        options = [("grpc.max_receive_message_length", -1)]
        channel = grpc.insecure_channel(f"{place.hostname}:{(place.port or 80) + 1}", options)
        return BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))

    @cached_property
    def retry(self) -> Retry:
        """For calls that may be repeated: what passes is asked again, with growing pauses."""
        return self._retry(is_transient)

    def again(self, call: Callable[[], T], *, found_late: bool = False) -> T:
        """The result of a call that may be repeated. `found_late`: what is not found may still turn up."""

        def passes(error: BaseException) -> bool:
            return is_transient(error) or (found_late and isinstance(error, exceptions.NotFound))

        result: T = self._retry(passes)(call)()
        return result

    def _retry(self, passes: Callable[[BaseException], bool]) -> Retry:
        pause = self.settings.pause_s
        return Retry(predicate=passes, initial=pause, maximum=20 * pause, multiplier=1.6, timeout=self.settings.retry_s)


def credentials_of(key: Mapping[str, Any]) -> Credentials:
    """Those of a service account's key."""
    made: Credentials = service_account.Credentials.from_service_account_info(key, scopes=_SCOPES)  # type: ignore[no-untyped-call]
    return made


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed later; a rate limit is told as 403."""
    if isinstance(error, exceptions.Forbidden):
        return any(item.get("reason") in TRANSIENT_REASONS for item in error.errors or ())
    return isinstance(error, _TRANSIENT)
