"""Exchange calendars from the calendar library and its corrections: writes `config/calendars.yaml`.

The library is asked when the file is generated and never at run time: what a trade date is must not change with the
version of a library that happens to be installed. A test keeps the file in step.
"""

from __future__ import annotations

import datetime as dt
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pandas_market_calendars

import cbi_dagster.config
from cbi_dagster.config.strict import read_yaml
from cbi_dagster.market.sessions import CHICAGO

FILE = Path(cbi_dagster.config.__file__).with_name("calendars.yaml")
_HEAD = """\
# Generated from pandas_market_calendars and calendar_corrections.yaml by `make generate`. Do not edit.
# closed: nothing was traded. joined: traded without a settlement; the bars belong to the next business day.
# early_closes: when trading ended early, America/Chicago.
"""
#: Where the futures are not settled: a day on which this exchange rests.
_SETTLES_WITH = "NYSE"


def calendars_yaml() -> str:
    """The content of `config/calendars.yaml` as the installed library and the corrections say it."""
    known = read_yaml("calendar_corrections.yaml")
    span = (known["first"], known["last"])
    settled = set(pandas_market_calendars.get_calendar(_SETTLES_WITH).valid_days(*span).date)
    weekdays = [day.date() for day in pd.bdate_range(*span)]
    text = _HEAD
    for group, said in known["groups"].items():
        schedule = pandas_market_calendars.get_calendar(said["library"]).schedule(*span)
        early = pandas_market_calendars.get_calendar(said["library"]).early_closes(schedule)["market_close"]
        early_closes = {day.date(): f"{close.tz_convert(CHICAGO):%H:%M}" for day, close in early.items()}
        corrected = _corrected(said["corrections"])
        closed = set(weekdays) - set(schedule.index.date) - corrected.keys()
        closed |= {day for day, was in corrected.items() if was == "closed"}
        joined = set(weekdays) - closed - settled - corrected.keys()
        early_closes = {day: clock for day, clock in early_closes.items() if day not in corrected}
        early_closes |= {day: was for day, was in corrected.items() if ":" in was}
        clocks = (f'{day}: "{early_closes[day]}"' for day in sorted(early_closes))
        text += f"{group}:\n" + _listed("closed", map(str, sorted(closed)))
        text += _listed("joined", map(str, sorted(joined))) + _listed("early_closes", clocks, "{}")
    return text


def _corrected(corrections: Iterable[Mapping[str, Any]]) -> dict[dt.date, str]:
    return {day: was for entry in corrections for was, days in entry.items() if was != "source" for day in days}


def _listed(name: str, items: Iterable[str], brackets: str = "[]") -> str:
    lines = textwrap.wrap(", ".join(items), 112, break_long_words=False, break_on_hyphens=False)
    return f"  {name}: {brackets[0]}\n" + "".join(f"    {line}\n" for line in lines) + f"  {brackets[1]}\n"


if __name__ == "__main__":
    FILE.write_text(calendars_yaml(), encoding="utf-8")
    print(FILE.name)
