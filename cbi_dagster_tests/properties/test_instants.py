"""A delivery that was cut at any instant: every row that could be built then is the one that stays."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import ASSET_TABLES, LANDING_SOURCES, Table
from cbi_dagster.catalog.tables.features import BIOFUEL_DAILY, DAILY_ML_MATRIX, FX_CROSS_DAILY
from cbi_dagster.market.sessions import BAR_NS
from cbi_dagster.vendors.databento.dbn import decode_dbn
from cbi_dagster.vendors.databento.writing import write_dbn
from cbi_dagster.vendors.files import Content
from cbi_dagster.vendors.posts.simulated import simulate_posts
from cbi_dagster.vendors.simulate import simulate_macro
from cbi_dagster_tests.properties.conftest import CUT
from cbi_dagster_tests.properties.worlds import SEED, START, World, simulated

#: Chicago is five hours behind: after the close of the grains and before that of all others, at 7:00, at 14:30 and on a
#: Friday evening.
INSTANTS = (
    "2023-08-09 19:00",
    "2023-08-10 12:00",
    pytest.param("2023-08-15 19:30", marks=pytest.mark.slow),
    pytest.param("2023-08-18 22:30", marks=pytest.mark.slow),
)
#: Whose row of the instant's date is there, at the first instant.
AFTER_ITS_CLOSE = "ZL"


def cut_file(source: Path, directory: Path, instant: pd.Timestamp) -> Path:
    """What the vendor would have delivered of a file at an instant: the last bar is of the trades until then."""
    file = decode_dbn(Content(source, source.name, source.read_bytes(), ""))
    bars = file.bars[file.bars["ts_event"] < instant].copy()
    open_bar = bars["ts_event"] + pd.Timedelta(BAR_NS[file.schema], "ns") > instant
    for name in ("high", "low", "close"):
        bars[name] = bars[name].where(~open_bar, bars["open"])
    bars.loc[open_bar, "volume"] = 1
    return write_dbn(
        directory / source.name, dataset=file.dataset, schema=file.schema, stype_in=file.stype_in, start=file.start,
        end=instant, mappings=file.mapping, bars=bars,
    )  # fmt: skip


def posts_until(directory: Path, instant: pd.Timestamp) -> list[Path]:
    """The posts that were there at an instant, and what was covered of them."""
    posts, coverage = simulate_posts(directory, seed=SEED, start=START, end=instant.date() + dt.timedelta(days=1))
    now = f"{instant:%Y-%m-%dT%H:%M:%S}Z"
    lines = posts.read_text(encoding="utf-8").splitlines(keepends=True)
    at = [max(post.get("published_at", ""), post.get("found_at", "")) for post in map(json.loads, lines)]
    posts.write_text("".join(line for line, moment in zip(lines, at, strict=True) if moment < now), encoding="utf-8")
    spans = pd.read_csv(coverage)
    spans["span_end"] = spans["span_end"].clip(upper=now)
    spans[spans["span_start"] < spans["span_end"]].to_csv(coverage, index=False)
    return [posts, coverage]


@pytest.fixture(scope="module")
def august(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The vendor files of the last month."""
    delivery = simulated(tmp_path_factory.mktemp("whole"))
    return sorted(delivery.glob(f"*-{CUT:%Y%m%d}-*.dbn.zst"))


@pytest.fixture(scope="module", params=INSTANTS)
def stood(
    request: pytest.FixtureRequest, past: World, august: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[World, pd.Timestamp]:
    """The world as it stood at an instant."""
    instant = pd.Timestamp(request.param, tz="UTC")
    home, delivery = tmp_path_factory.mktemp("stood"), tmp_path_factory.mktemp("cut")
    shutil.copytree(past.path, home, dirs_exist_ok=True)
    then = World(home)
    macro = simulate_macro(delivery, seed=SEED, start=START, end=instant.date())
    then.land(*(cut_file(file, delivery, instant) for file in august), macro, *posts_until(delivery, instant))
    then.refresh()
    return then, instant


def is_landed(table: Table) -> bool:
    return all(read.source in LANDING_SOURCES for read in table.reads) and bool(table.reads)


MADE = [table for table in ASSET_TABLES if not is_landed(table)]


@pytest.mark.parametrize("table", MADE, ids=lambda table: table.id)
def test_a_row_that_is_there_at_an_instant_is_the_one_that_stays(
    stood: tuple[World, pd.Timestamp], world: World, table: Table
) -> None:
    then, after = stood[0].rows(table), world.rows(table)
    assert then.index.isin(after.index).all(), f"{table.id}: rows vanished"
    pd.testing.assert_frame_equal(then, after.loc[then.index], check_exact=True, check_dtype=False)


def test_rows_are_there_once_their_own_session_is_over(stood: tuple[World, pd.Timestamp]) -> None:
    then, instant = stood
    matrix = then.rows(DAILY_ML_MATRIX).reset_index()
    newest = matrix.groupby("symbol")["data_date"].max().dt.date
    today = instant.tz_convert("America/Chicago")
    before = np.busday_offset(np.datetime64(today.date()), -1).astype(dt.date)
    grains_closed, others_closed = today.hour * 60 + today.minute >= 13 * 60 + 20, today.hour >= 16
    assert newest[AFTER_ITS_CLOSE] == (today.date() if grains_closed else before)
    assert newest["MES"] == newest["6E"] == (today.date() if others_closed else before)
    # What the row of soybean oil takes from markets that are still open is known, not left out.
    day = pd.Timestamp(newest[AFTER_ITS_CLOSE])
    currencies = then.rows(FX_CROSS_DAILY).xs(day, level="date")
    assert currencies[["fx_6e_log_return_1d", "fx_strength_index", "cross_corr_fx_eur_30d"]].notna().all(axis=None)
    assert then.rows(BIOFUEL_DAILY).xs(day, level="date")[["boho_spread", "crack_321"]].notna().all(axis=None)
