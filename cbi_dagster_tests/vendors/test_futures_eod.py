"""End-of-day files of another vendor: which contract a ticker is, what is rejected, that they stay by themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.market_data import FUTURES_EOD, SETTLEMENTS_1D
from cbi_dagster.config.universe import load_universe
from cbi_dagster.reports.checks import agrees_with_settlements
from cbi_dagster.vendors.files import LayoutError
from cbi_dagster.vendors.futures_eod import FuturesEod
from cbi_dagster.vendors.kinds import Examined
from cbi_dagster_tests.properties.worlds import World
from cbi_dagster_tests.vendors.databento.test_statistics import OPEN_INTEREST, record, statistics_file
from cbi_dagster_tests.vendors.small_files import DATA, content

KIND = FuturesEod(load_universe())
NOW = pd.Timestamp("2024-08-01", tz="UTC")
HEADER = "date,rank,ticker,settle,open_interest,volume,ttm_days,last_trade\n"
SOUND = "2024-07-02,0,BOZ4 Comdty,45.5,100.0,7.0,164.0,2024-12-13\n"


def written(directory: Path, *rows: str) -> Path:
    path = directory / "soybean_oil.futures-eod.csv"
    path.write_text(HEADER + "".join(rows))
    return path


def examined(directory: Path, *rows: str) -> Examined:
    found = KIND.examine(content(written(directory, *rows)), NOW)
    assert found.rows == len(found.kept) + len(found.rejected) + sum(found.outside.values())
    return found


@pytest.mark.parametrize(
    ("row", "symbol", "month", "known"),
    [
        (SOUND, "ZLZ4", "2024-12", "2024-07-03"),
        ("1995-01-03,0,BOF95 Comdty,29.28,14901.0,5764.0,17.0,1995-01-20\n", "ZLF5", "1995-01", "2010-06-07"),
        ("2008-05-02,2,BOQ8 08 Comdty,57.56,1.0,1.0,100.0,2008-08-14\n", "ZLQ8", "2008-08", "2010-06-07"),
        ("2010-09-03,3,BOF1 Comdty,42.09,1.0,1.0,129.0,2011-01-14\n", "ZLF1", "2011-01", "2010-09-06"),
    ],
)
def test_a_ticker_and_the_year_of_its_last_trade_say_which_contract_it_is(tmp_path, row, symbol, month, known) -> None:
    (kept,) = examined(tmp_path, row).kept.to_dict("records")
    assert (kept["root"], kept["symbol"], f"{kept['delivery_month']:%Y-%m}") == ("ZL", symbol, month)
    assert f"{kept['trade_date_available']:%Y-%m-%d}" == known


@pytest.mark.parametrize(
    ("reason", "row"),
    [
        ("no_contract", "2024-07-02,0,,45.5,100,7,,2024-12-13\n"),
        ("no_last_trade_date", "2024-07-02,0,BOZ4 Comdty,45.5,100,7,,\n"),
        ("nothing_stated", "2024-07-03,0,BOZ4 Comdty,,,,,2024-12-13\n"),
        ("weekend_date", "2024-07-06,0,BOZ4 Comdty,45.5,100,7,,2024-12-13\n"),
        ("after_last_trade_date", "2024-07-02,0,BOF4 Comdty,45.5,100,7,,2024-01-12\n"),
        ("future_date", "2024-09-02,0,BOZ4 Comdty,45.5,100,7,,2024-12-13\n"),
        ("price_out_of_bounds", "2024-07-03,0,BOZ4 Comdty,4550,100,7,,2024-12-13\n"),
        ("negative_quantity", "2024-07-03,0,BOZ4 Comdty,45.5,-1,7,,2024-12-13\n"),
        ("repeated_row", SOUND),
    ],
)
def test_a_row_that_cannot_be_is_rejected_with_its_reason(tmp_path: Path, reason: str, row: str) -> None:
    found = examined(tmp_path, SOUND, row)
    assert (found.rejected["reason"].tolist(), len(found.kept)) == ([reason], 1)


def test_what_is_not_stated_is_null_and_other_products_are_left_out(tmp_path: Path) -> None:
    found = examined(
        tmp_path, "2024-07-02,0,BOZ4 Comdty,45.5,,,,2024-12-13\n", "2024-07-02,0,CTZ4 Comdty,70,1,1,,2024-12-06\n"
    )
    assert found.kept[["open_interest", "volume"]].isna().all(axis=None)
    assert found.outside == {"CTZ4 Comdty": 1}
    with pytest.raises(LayoutError, match="date of data row 0 is no date"):
        examined(tmp_path, SOUND.replace("2024-07-02", "2024-07-02T10:00:00Z", 1))


def test_both_sources_stand_by_themselves_and_are_compared_where_both_exist(tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    statistics = statistics_file(
        tmp_path / "zl.statistics.dbn",
        [record("2024-07-02 18:32", "2024-07-02"), record("2024-07-03 01:10", "2024-07-02", OPEN_INTEREST, 101)],
    )
    world.land(statistics, written(tmp_path, SOUND, "2024-07-03,0,BOZ4 Comdty,46.0,100,7,,2024-12-13\n"))
    world.refresh()
    stated, other = (to_frame(table, world.warehouse.read(table)) for table in (SETTLEMENTS_1D, FUTURES_EOD))
    assert (len(stated), len(other)) == (1, 2)
    assert (set(stated["dataset"]), set(other["dataset"])) == ({"GLBX.MDP3"}, {"FUTURES.EOD"})
    result = agrees_with_settlements(world.warehouse, FUTURES_EOD)
    assert (result.rows, dict(result.warnings)) == (1, {"open_interest differs": ["ZLZ4 2024-07-02"]})


@pytest.mark.skipif(not (DATA / "futures_eod").is_dir(), reason="the real file is not here")
def test_the_real_history_of_soybean_oil_is_taken_but_for_seven_rows_that_say_nothing(tmp_path: Path) -> None:
    path = tmp_path / "zl.futures-eod.csv"
    path.write_bytes((DATA / "futures_eod" / "soybean_oil_1995_2010.csv").read_bytes())
    found = KIND.examine(content(path), NOW)
    assert (len(found.kept), found.rejected["reason"].value_counts().to_dict()) == (
        23717, {"no_contract": 6, "nothing_stated": 1},
    )  # fmt: skip
    assert found.kept["delivery_month"].dt.strftime("%y").str[-1].eq(found.kept["symbol"].str[-1]).all()
    assert np.isfinite(found.kept["settle"]).all()
