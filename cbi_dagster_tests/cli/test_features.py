"""`cbi features`: what every feature means and how much of it is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from cbi_dagster.catalog import TABLES, Type
from cbi_dagster.catalog.tables.features import VOLATILITY_DAILY
from cbi_dagster.cli.main import cbi, console
from cbi_dagster.home import Home
from cbi_dagster.warehouse.changes import Provenance
from cbi_dagster.warehouse.contract import now_utc

pytestmark = pytest.mark.usefixtures("files_stay_open")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Volatilities of two symbols on two days; k_vol is known for ZL on the second day alone."""
    home = Home(tmp_path)
    home.prepare()
    warehouse = home.open().ready().warehouse
    warehouse.ensure(TABLES.values())
    days = pd.to_datetime(["2024-07-01", "2024-07-02"] * 2)
    rows = pd.DataFrame({"date": days, "symbol": ["ES", "ES", "ZL", "ZL"]})
    for column in VOLATILITY_DAILY.columns:
        if column.type is Type.FLOAT64:
            rows[column.name] = 0.5
    rows["k_vol"] = [np.nan, np.nan, np.nan, 1.0]
    rows["parkinson_vol_21d"] = np.nan
    keys = np.unique(days.to_numpy().astype("datetime64[D]"))
    warehouse.replace(VOLATILITY_DAILY, keys, rows, Provenance("test", "1", dict.fromkeys(keys, ""), now_utc(), 0))
    return home


def features(home: Home, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.setenv("CBI_HOME", str(home.path))
    monkeypatch.setattr(console, "width", 200)
    return CliRunner().invoke(cbi, ["features", *arguments])


def cells(output: str, feature: str) -> list[str]:
    """First line of a feature's row, without the rules of the grid."""
    line = next(line for line in output.splitlines() if f" {feature} " in line)
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_a_feature_has_unit_first_date_nulls_and_meaning(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    output = features(home, monkeypatch, "--table", "volatility_daily").output
    assert cells(output, "realized_vol_5d")[1:5] == ["fraction per year", "2024-07-01", "0.0%", "ES, ZL"]
    assert cells(output, "k_vol")[2:5] == ["2024-07-02", "50.0%", "ZL"]
    assert cells(output, "parkinson_vol_21d")[2:5] == ["-", "all", ""]
    assert VOLATILITY_DAILY.column("k_vol").description[:20] in cells(output, "k_vol")[5]


def test_a_table_says_where_its_formulas_are_and_what_it_reads(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    output = features(home, monkeypatch, "--table", "volatility_daily").output
    assert "formulas in cbi_dagster/features/volatility.py" in output
    assert "reads market_data.futures_continuous_1d (311 trade dates back)" in output
    assert "biofuel" not in output


def test_every_table_of_features_is_listed_and_no_other(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    output = features(home, monkeypatch).output
    for table in TABLES.values():
        assert (f"\n{table.id}: " in output) == (table.dataset == "features")
    assert "biofuel.board_crush" in output


def test_a_table_without_features_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    result = features(home, monkeypatch, "--table", "futures_continuous_1d")
    assert result.exit_code == 1
    assert "hold no features" in result.output
