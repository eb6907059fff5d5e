"""Exchange calendars: the days of each product group that are not ordinary weekdays."""

from __future__ import annotations

import datetime as dt

from pydantic import field_validator

from cbi_dagster.config.clock import clock_minutes
from cbi_dagster.config.strict import Strict


class ExchangeCalendar(Strict):
    """What weekdays were not ordinary; what is not named is.

    `closed`: nothing was traded. `joined`: traded without a settlement, so that the bars belong to the next business
    day. `early_closes`: minutes after midnight (America/Chicago) at which trading ended, also on joined days.
    """

    closed: tuple[dt.date, ...]
    joined: tuple[dt.date, ...]
    early_closes: dict[dt.date, int]

    @field_validator("early_closes", mode="before")
    @classmethod
    def _minutes(cls, value: dict[dt.date, str]) -> dict[dt.date, int]:
        return {day: clock_minutes(clock) for day, clock in value.items()}
