"""The stored calendars are what the calendar library and the corrections say."""

from __future__ import annotations

import pandas_market_calendars
import pytest

from cbi_dagster.config.strict import read_yaml
from cbi_dagster.vendors.calendar_library import FILE, calendars_yaml

CORRECTIONS = read_yaml("calendar_corrections.yaml")["groups"]


def test_the_stored_calendars_are_in_step_with_library_and_corrections() -> None:
    assert FILE.read_text(encoding="utf-8") == calendars_yaml(), "`make generate` writes them"


@pytest.mark.parametrize("group", CORRECTIONS)
def test_every_correction_has_a_source_and_corrects_something(group: str) -> None:
    library = pandas_market_calendars.get_calendar(CORRECTIONS[group]["library"])
    settled = set(pandas_market_calendars.get_calendar("NYSE").valid_days("2010-01-01", "2031-01-01").date)
    schedule = library.schedule("2010-01-01", "2031-01-01")
    closes = schedule["market_close"].dt.tz_convert("America/Chicago")
    early = {day.date() for day in library.early_closes(schedule).index}
    for entry in CORRECTIONS[group]["corrections"]:
        assert entry["source"]
        for was, day in ((was, day) for was, days in entry.items() if was != "source" for day in days):
            if day not in closes.index.date:
                said = "closed"
            elif day not in settled and day.weekday() < 5:
                said = "joined"
            else:
                said = f"{closes[str(day)]:%H:%M}" if day in early else "regular"
            assert said != was, f"{group} {day}: the library knows"
