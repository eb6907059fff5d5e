"""`cbi`: land vendor files, build the tables, look at them, and open the Dagster UI.

One module per group of commands, each of which asks the other rooms and renders what they answer. What takes long to
import (pandas, the warehouse, Dagster) is imported where it is used: a plan needs no Dagster, and help needs nothing.
"""

from cbi_dagster.cli import (
    asking,
    building,
    comparing,
    copying,
    demo,
    explaining,
    fetching,
    init,
    landing,
    looking,
    posts,
    proving,
    rebuilding,
    report,
    ui,
)
from cbi_dagster.cli.main import run

__all__ = [
    "asking",
    "building",
    "comparing",
    "copying",
    "demo",
    "explaining",
    "fetching",
    "init",
    "landing",
    "looking",
    "posts",
    "proving",
    "rebuilding",
    "report",
    "run",
    "ui",
]
