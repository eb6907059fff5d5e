"""A state directory, and the vendor's API on the loopback interface beside it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables import ops
from cbi_dagster.home import Home, Platform
from cbi_dagster.vendors.databento.fetching import Fetching, FetchReport
from cbi_dagster.vendors.databento.survey import Outlook, Wish
from cbi_dagster.vendors.simulate import SIMULATED_DATASET
from cbi_dagster_tests.fakes.databento import LoopbackDatabento
from cbi_dagster_tests.fakes.databento.server import KEY

HOUR = "ohlcv-1h"
EVER = np.datetime64("1990-01-01"), np.datetime64("2100-01-01")


def utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def nanoseconds(text: str) -> int:
    return int(utc(text).as_unit("ns").value)


class LiveHome:
    """A state directory whose vendor is a server of this process; waiting is noted instead of done."""

    def __init__(self, path: Path, server: LoopbackDatabento, key: str = KEY, **settings: object) -> None:
        self.server, self.waited = server, list[float]()
        stated = {f"CBI_DATABENTO_{name.upper()}": str(value) for name, value in settings.items()}
        gateway = {"CBI_DATABENTO_GATEWAY": server.endpoint, "CBI_DATABENTO_DATASET": SIMULATED_DATASET}
        self.home = Home(path, environment=gateway | stated)
        self.home.prepare()
        self.platform: Platform = self.home.open().ready()
        self.fetching: Fetching = self.home.fetching(self.platform, key)
        self.fetching._pause = self.fetching._vendor._pause = self.waited.append

    def until(self, end: str, *schemas: str) -> None:
        """The vendor has data until then, of these schemas or of all."""
        self.server.market.ends |= dict.fromkeys(schemas or self.server.market.ends, nanoseconds(end))

    def wish(self, start: str, end: str | None = None, **named: object) -> Callable[[], Outlook]:
        """An outlook on what is asked for by name."""
        schemas, symbols = (named.get("schemas", (HOUR,)), named.get("symbols", ()))
        wish = Wish(schemas, symbols, utc(start), None if end is None else utc(end))  # type: ignore[arg-type]
        again = bool(named.get("again", False))
        survey = self.fetching.survey
        return lambda: survey.outlook(lambda known: survey.wished(wish, known), named=wish.symbols, again=again)

    def fetch(self, start: str, end: str | None = None, wait_s: float = 0.0, **named: object) -> FetchReport:
        return self.fetching.run(self.wish(start, end, **named), wait_s)

    def followed(self) -> Outlook:
        """What the sensor would ask for."""
        return self.fetching.survey.outlook(self.fetching.survey.followed)

    def follow(self) -> FetchReport:
        return self.fetching.run(self.followed, 0.0)

    def books(self) -> pd.DataFrame:
        return to_frame(ops.VENDOR_SPEND, self.platform.warehouse.read(ops.VENDOR_SPEND)).sort_values("asked_at")

    def states(self) -> list[str]:
        return self.books()["request_state"].tolist()

    def hashes(self) -> dict[str, str]:
        """Content hash of every landed trade date."""
        rows = self.platform.warehouse.ledger_rows(["landing.ohlcv_1h", "landing.ohlcv_1m"])
        return dict(zip(rows["table_name"] + rows["partition_key"], rows["content_hash"], strict=True))

    def conditions(self) -> dict[dt.date, str]:
        """The vendor's last word on each day that landed."""
        rows = self.platform.landing.read("landing.conditions", [EVER])
        return dict(zip(rows["utc_date"].dt.date, rows["condition"], strict=True))
