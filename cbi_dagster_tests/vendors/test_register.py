"""What was read of files stays at hand beyond what memory may hold, and is the same wherever it waited."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from cbi_dagster.vendors import landed, register
from cbi_dagster.vendors.databento import landed_bars
from cbi_dagster.vendors.databento.bar_files import BarFile
from cbi_dagster.vendors.files import Content
from cbi_dagster.vendors.kinds import Examined
from cbi_dagster.vendors.register import Remembered
from cbi_dagster_tests.properties.worlds import World
from cbi_dagster_tests.vendors.small_files import hourly, mapping_of, zl_file

DAYS = pd.date_range("2024-07-01", periods=5, tz="UTC")


def examined(day: pd.Timestamp, kept: pd.DataFrame) -> Examined:
    return Examined(
        dataset="GLBX.MDP3",
        schema="ohlcv-1h",
        stype_in="continuous",
        start=day,
        end=day + pd.Timedelta(days=1),
        rows=len(kept),
        kept=kept,
        rejected=pd.DataFrame({"reason": ["weekend_trade_date"], "detail": ["close=45.1"]}),
        outside={"QO.v.0": 3},
        symbols=pd.DataFrame({"symbol": ["ZL.v.0"], "instrument_id": pd.array([None], "Int64")}),
    )


@pytest.fixture
def files() -> dict[str, Examined]:
    """What five files hold: bars of a day each, with columns of every kind."""
    found = {}
    for day in DAYS:
        bars = hourly(str(day.date()), 24)
        kinds = {"symbol": pd.Categorical(["ZL.v.0"] * 24), "publisher_id": pd.array([None, *range(23)], "Int64")}
        texts = {"text": ["soybeans", None] * 12, "date": day.tz_localize(None)}
        found[str(day.date())] = examined(day, bars.assign(**kinds, **texts))
    return found


def remembering(files: dict[str, Examined]) -> Remembered:
    """What remembers files that were read in this order."""
    remembered = Remembered()
    for name, given in files.items():
        remembered.add(name, given)
    return remembered


def require_same(found: Examined | None, given: Examined) -> None:
    assert found is not None
    for name in ("kept", "rejected", "symbols"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(given, name))
    assert (found.outside, found.end) == (given.outside, given.end)


def test_what_memory_does_not_hold_waits_aside_as_it_was(
    files: dict[str, Examined], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(register, "ROWS_AT_ONCE", 50)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    remembered = remembering(files)
    aside = {path.name for path in tmp_path.glob("*/*")}
    assert aside == set(list(files)[:3])
    for name, given in files.items():
        require_same(remembered.get(name), given)
    del remembered
    assert not list(tmp_path.iterdir())


def test_beyond_the_room_aside_a_file_is_to_be_read_again(
    files: dict[str, Examined], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(register, "ROWS_AT_ONCE", 50)
    monkeypatch.setattr(register, "ROWS_ASIDE", 30)
    remembered = remembering(files)
    assert [remembered.get(name) is None for name in files] == [False, False, True, False, False]


def test_a_full_disk_only_means_that_files_are_read_again(
    files: dict[str, Examined], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(register, "ROWS_AT_ONCE", 50)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    remembered = Remembered()
    first, *others = files
    for name in (first, *others[:2]):
        remembered.add(name, files[name])
    (scratch,) = tmp_path.iterdir()
    (scratch / others[0]).mkdir()  # where its rows would have been written
    for name in others[2:]:
        remembered.add(name, files[name])
    assert remembered.get(others[0]) is None
    require_same(remembered.get(first), files[first])


def test_files_of_a_delivery_beyond_what_memory_holds_are_read_once_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Counter[str] = Counter()
    decode = landed_bars.decode_bars

    def counted(content: Content) -> BarFile:
        read[content.name] += 1
        return decode(content)

    monkeypatch.setattr(landed_bars, "decode_bars", counted)
    for module in (landed, landed_bars, register):
        monkeypatch.setattr(module, "ROWS_AT_ONCE", 50)
    mapping = mapping_of(("ZL.v.0", "2024-07-01", "2024-07-06", 11))
    for start, end in itertools.pairwise(DAYS):
        name = tmp_path / "delivery" / f"{start:%d}.ohlcv-1h.dbn.zst"
        name.parent.mkdir(exist_ok=True)
        zl_file(name, hourly(str(start.date()), 24), mapping, start=start, end=end)
    World(tmp_path / "home").land(tmp_path / "delivery")
    assert set(read.values()) == {1}
    assert len(read) == len(DAYS) - 1
