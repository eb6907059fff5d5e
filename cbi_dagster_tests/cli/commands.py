"""`cbi` run in this process on a state directory, and a small one that it built."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from click.testing import CliRunner, Result

from cbi_dagster.cli.main import STALE
from cbi_dagster.cli.main import cbi as group
from cbi_dagster.vendors.simulate import simulate_delivery
from cbi_dagster_tests.properties.worlds import kept_open

BARS = "databento_futures_ohlcv_1h"


def cbi(home: Path, *arguments: str | Path) -> Result:
    """What a command said and how it ended; a failure is told, never thrown, so an exception would be a traceback."""
    with kept_open(home):
        result = CliRunner(env={"CBI_HOME": str(home)}).invoke(group, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def build_bars(home: Path, delivery: Path, last: dt.date) -> Path:
    """`home` with the simulated hours from 2023-06-05 to `last`, exclusive: the bars are built and nothing else is."""
    simulate_delivery(delivery, seed=3, start=dt.date(2023, 6, 5), end=last, minute_roots=())
    assert cbi(home, "land", delivery).exit_code == 0
    assert cbi(home, "refresh", "--select", BARS).exit_code == STALE
    return home
