"""Wall-clock times in config files."""

from __future__ import annotations


def clock_minutes(clock: str) -> int:
    """Minutes after midnight of an `HH:MM` wall-clock time; ValueError for anything else."""
    hours, _, minutes = clock.partition(":")
    if not (hours.isdigit() and minutes.isdigit() and int(hours) < 24 and int(minutes) < 60):
        raise ValueError(f"{clock!r} is not a wall-clock time HH:MM")
    return int(hours) * 60 + int(minutes)
