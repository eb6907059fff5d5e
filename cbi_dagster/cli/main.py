"""The group that all commands belong to, how a failure is told, and the exit codes.

Exit codes: 0 done, 1 the work failed (the message says what and where), 2 the command was called wrongly, 3 `plan` or
`refresh` found something stale, or `diff` a difference, 130 the command was interrupted.
"""

from __future__ import annotations

import errno
import functools
import gc
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from cbi_dagster.home import Home, Platform

#: Exit code of `plan` and `refresh` when something was stale.
STALE = 3

#: Exit code of `diff` when something differs.
DIFFERENT = 3

#: What commands that only look say of a state directory without a warehouse.
NOTHING_HERE = "nothing is landed in {}; `cbi land PATH` takes vendor files, `cbi demo` simulates some"

# What is printed is never markup: names of files, symbols and directories are foreign, and may hold brackets or colons.
_Plain = functools.partial(Console, markup=False, emoji=False, highlight=False)
# A pipe has no width of its own: do not squeeze tables for it.
console = _Plain(width=None if sys.stdout is not None and sys.stdout.isatty() else 160)


class Failure(click.ClickException):
    """A failure in the user's words, exit code 1."""

    def show(self, file: Any = None) -> None:
        _Plain(stderr=True).print(Text.assemble(("cbi:", "red"), f" {self.message}"), soft_wrap=True)


class Interrupted(Failure):
    """Ctrl-C or SIGTERM, exit code 130."""

    exit_code = 130

    def __init__(self) -> None:
        super().__init__("interrupted; what was finished before is kept, and the same command goes on from there")


class _Commands(click.Group):
    """Commands whose foreseen trouble is told in words: any other has the traceback that its finder needs."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OSError as error:  # files, and locks that another program holds
            if error.errno == errno.EPIPE:  # whoever read the output has had enough: click ends in silence
                raise
            raise Failure(str(error)) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt as error:
            raise Interrupted() from error
        except Exception as error:
            if _speaks_for_itself(error):
                raise Failure(str(error)) from error
            raise


def _speaks_for_itself(error: Exception) -> bool:
    """Whether an error is one that any command may meet, and says what to do."""
    from cbi_dagster.home import SettingsError, UnfinishedRebuildError
    from cbi_dagster.vendors.files import DeliveryError
    from cbi_dagster.warehouse.contract import DamagedWarehouseError, EngineError
    from cbi_dagster.warehouse.stored import SchemaDriftError

    known = (SettingsError, UnfinishedRebuildError, DeliveryError, SchemaDriftError, DamagedWarehouseError, EngineError)
    return isinstance(error, known)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="State lives under CBI_HOME (default ./.cbi).",
)
@click.version_option(package_name="cbi-dagster")
def cbi() -> None:
    """Point-in-time feature tables for futures, from vendor files to training data."""


def examples(*lines: str) -> str:
    """Help text that keeps its line breaks."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def opened(home: Home) -> Platform:
    """The platform on a state directory, which is made if it is not there, with all tables in its warehouse."""
    home.prepare()
    return home.open().ready()


def holds_nothing(home: Home) -> bool:
    """Whether a state directory has no warehouse yet, or is not there itself."""
    if home.path.exists() and not home.path.is_dir():
        raise Failure(f"{home.path} is no directory: CBI_HOME names the directory that state lives in")
    return not home.warehouse().exists()


def looked_at(home: Home) -> Platform:
    """The platform on a state directory for a command that changes nothing; nothing is made where nothing is."""
    if holds_nothing(home):
        raise Failure(NOTHING_HERE.format(home.place))
    home.require_whole()
    return home.open().ready()


def is_no_interruption(record: logging.LogRecord) -> bool:
    """Whether a line of a log is about anything but Ctrl-C or SIGTERM."""
    return not (record.exc_info and isinstance(record.exc_info[1], KeyboardInterrupt))


def run() -> None:
    """`cbi` as a process of its own."""
    # It lives for seconds and imports hundreds of thousands of objects, which the collector would go through again and
    # again: measured, it took a twelfth of a small refresh. What is young it looks at.
    gc.set_threshold(50_000, 100, 10)
    if sys.stdout is None:
        # Closed by whoever started it: no file that is opened later may take its place.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    # The command tells of an interruption: a library that logs it and passes it on has nothing to add.
    if logging.lastResort is not None:
        logging.lastResort.addFilter(is_no_interruption)
    # A command that is ended leaves nothing behind, whoever ends it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        cbi()
    finally:
        # What is left goes with the process, and need not be looked through before.
        gc.disable()
