"""What a view shows is what its tables hold: against the same worked out in pandas, on a built world."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest

from cbi_dagster.catalog import LANDING_SOURCES
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.features import DAILY_ML_MATRIX
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D
from cbi_dagster.catalog.tables.mes import MES_INTRADAY
from cbi_dagster.catalog.tables.ops import INGESTION_RUNS, QUARANTINE
from cbi_dagster.catalog.tables.predictions import ZL_IMPACT_DAILY
from cbi_dagster.catalog.tables.raw_intelligence import MACRO_SERIES
from cbi_dagster.catalog.tables.regimes import REGIME_CALENDAR, REGIME_WEIGHTS
from cbi_dagster.catalog.tables.training import MES_BAR_TRAINING, MES_TRAINING, ZL_TRAINING
from cbi_dagster_tests.properties.worlds import World

pytestmark = pytest.mark.usefixtures("files_stay_open")


def asked(world: World, view: str) -> pd.DataFrame:
    return world.warehouse.query(f"SELECT * FROM {view}").to_pandas(date_as_object=False)


def table(world: World, declared) -> pd.DataFrame:
    return to_frame(declared, world.warehouse.read(declared))


def sessions(world: World, symbol: str) -> pd.DataFrame:
    rows = table(world, FUTURES_CONTINUOUS_1D)
    return rows[rows["symbol"] == symbol].sort_values("date").reset_index(drop=True)


def require_equal(shown: pd.Series, wanted: pd.Series) -> None:
    pd.testing.assert_series_equal(
        shown.reset_index(drop=True), wanted.reset_index(drop=True), check_names=False, check_dtype=False
    )


def require_shown(shown: pd.Series, matrix: pd.Series, shown_as: dict[str, str]) -> None:
    """What the matrix says under one name a view says under another."""
    names = list(shown_as)
    wanted = matrix[names].where(matrix[names].notna(), None).tolist()
    found = shown[list(shown_as.values())]
    assert found.where(found.notna(), None).tolist() == wanted


def test_the_flat_matrix_is_the_matrix(world):
    shown = asked(world, "features.vw_daily_ml_flat").sort_values(["symbol", "data_date"]).reset_index(drop=True)
    held = world.warehouse.read(DAILY_ML_MATRIX).sort_by([("symbol", "ascending"), ("data_date", "ascending")])
    assert len(shown) == len(held) > 1000
    for path, _ in DAILY_ML_MATRIX.leaves():
        if path != "regime.name":
            name, _, part = path.partition(".")
            wanted = pc.struct_field(held[name], part) if part else held[name]
            require_equal(shown[path.replace(".", "_")], wanted.to_pandas(date_as_object=False))


@pytest.mark.parametrize("declared", [*ZL_TRAINING[:2], MES_TRAINING[0], MES_BAR_TRAINING[-1]], ids=lambda t: t.name)
def test_training_rows_that_belong_to_a_split_are_shown_and_no_others(world, declared):
    rows = table(world, declared)
    shown = asked(world, f"training.vw_{declared.name}")
    assert len(shown) == int((rows["split"] != "purged").sum())
    assert set(shown.columns) == {column.name for column in declared.columns} - {"source_run_id"}


def macro_known(world: World, series_id: str, dates: pd.Series) -> list[float]:
    """The newest value that was known on each date, at most ten days old."""
    rows = table(world, MACRO_SERIES)
    rows = rows[rows["series_id"] == series_id].sort_values(["reference_date", "available_at"])
    known = []
    for date in dates:
        age = (date - rows["trade_date_available"]).dt.days
        found = rows["value"][(age >= 0) & (age <= 10)]
        known.append(found.iloc[-1] if len(found) else np.nan)
    return known


def test_an_overlay_of_soybean_oil_has_a_row_a_session_and_what_was_known_beside_it(world):
    own = sessions(world, "ZL")
    shown = asked(world, "api.vw_zl_overlay_1w").sort_values("date")
    for name, wanted in (("date", "date"), ("price", "close"), ("volume", "volume")):
        require_equal(shown[name], own[wanted])
    ahead = own["adj_close"].shift(-5) / own["adj_close"] - 1
    target = shown["target_1w"].reset_index(drop=True)
    known = target.notna()
    assert known.sum() > 200
    np.testing.assert_allclose(target[known], ahead[known], rtol=1e-12)
    some = shown.iloc[::20]
    np.testing.assert_array_equal(some["vix"], macro_known(world, "VIX", some["date"]))
    assert some["vix"].notna().sum() > 5
    assert shown["ten_year_yield"].isna().all(), "nothing was landed of it"
    assert shown[["board_crush", "fx_strength_index", "regime"]].notna().any().all()


def test_an_overlay_of_mes_has_a_row_a_session_or_bar(world):
    own = sessions(world, "MES")
    shown = asked(world, "api.vw_mes_overlay_7d").sort_values("date")
    require_equal(shown["price"], own["close"])
    assert (shown["bar_last_date_7d"].dropna() <= shown["date"][shown["bar_last_date_7d"].notna()]).all()
    for bars, declared in zip(MES_INTRADAY[2:4], MES_BAR_TRAINING[2:4], strict=True):
        label = bars.name.removeprefix("mes_")
        shown = asked(world, f"api.vw_mes_overlay_{label}")
        assert len(shown) == len(table(world, bars))
        assert shown["regime"].notna().all()
        assert shown[f"target_{label}"].notna().sum() == len(table(world, declared))


def test_the_dashboard_is_the_last_session_of_soybean_oil(world):
    own = sessions(world, "ZL").iloc[-2:]
    ((_, shown),) = asked(world, "api.vw_zl_dashboard_current").iterrows()
    last = own.iloc[1]
    assert (shown["date"], shown["price"], shown["contract"]) == (last["date"], last["close"], last["contract"])
    assert shown["change_1d"] == pytest.approx(last["adj_close"] / own.iloc[0]["adj_close"] - 1, rel=1e-12)
    matrix = world.rows(DAILY_ML_MATRIX).loc["ZL", last["date"]]
    shown_as = {"pivots_P": "pivot", "biofuel_board_crush": "board_crush", "policy_trump_score_signed": "policy_score"}
    require_shown(shown, matrix, {**shown_as, "regime_weight": "regime_weight"})
    actions = table(world, ZL_IMPACT_DAILY)
    today = actions[(actions["date"] == last["date"]) & actions["probability"].notna()]
    likely = today.sort_values(["probability", "action"], ascending=[False, True])
    assert shown["action"] == (likely["action"].iloc[0] if len(likely) else None)


def test_the_private_page_is_the_last_session_of_mes(world):
    last = sessions(world, "MES").iloc[-1]
    ((_, shown),) = asked(world, "api.vw_mes_private").iterrows()
    assert (shown["date"], shown["price"]) == (last["date"], last["close"])
    matrix = world.rows(DAILY_ML_MATRIX).loc["MES", last["date"]]
    shown_as = {"technicals_rsi_14": "rsi_14", "pivots_P": "pivot", "fibs_retrace_618": "retrace_618"}
    require_shown(shown, matrix, {**shown_as, "golden_zone_state": "golden_zone_state"})


def test_the_strip_has_every_regime_once_and_all_its_days(world):
    calendar, weights = table(world, REGIME_CALENDAR), table(world, REGIME_WEIGHTS).set_index("regime")
    strip = asked(world, "api.vw_regime_strip").sort_values("first_date").reset_index(drop=True)
    wanted = calendar.groupby(calendar["regime"].astype(str))["date"].agg(["min", "max", "size"]).sort_values("min")
    assert strip["regime"].tolist() == wanted.index.tolist()
    for name, column in (("first_date", "min"), ("last_date", "max"), ("trade_dates", "size")):
        require_equal(strip[name], wanted[column])
    assert strip["is_current"].tolist() == [False] * (len(strip) - 1) + [True]
    assert strip["weight"].tolist() == [weights["weight"].get(name) for name in strip["regime"]]
    prices = sessions(world, "ZL").set_index("date")["adj_close"]
    for row in strip.itertuples():
        inside = prices[row.first_date : row.last_date]
        assert row.zl_return == pytest.approx(inside.iloc[-1] / inside.iloc[0] - 1, rel=1e-12)


def test_the_health_of_the_pipeline_is_what_the_books_say(world):
    shown = asked(world, "monitoring.vw_pipeline_health").set_index("table_name")
    ledger = world.warehouse.ledger_rows()
    assert set(ledger["table_name"]) | {declared.id for declared in (*ZL_TRAINING, *MES_TRAINING)} <= set(shown.index)
    held = ledger.groupby("table_name")
    for name in shown.index.intersection(held.groups):
        rows = held.get_group(name)
        filled = rows.loc[rows["row_count"] > 0, "partition_key"]
        got = shown.loc[name]
        assert (got["partitions"], got["table_rows"]) == (len(rows), rows["row_count"].sum())
        assert got["partitions_with_rows"] == len(filled)
        if len(filled):
            assert (got["first_partition"], got["last_partition"]) == (filled.min(), filled.max())
        assert got["last_written_at"] == rows["written_at"].max()
    runs = table(world, INGESTION_RUNS).sort_values("ended_at").groupby("source").tail(1).set_index("source")
    runs = runs[runs["code_version"].notna()]
    assert (shown.loc[runs.index, "last_run_status"] == runs["run_status"].astype(str)).all()
    assert set(shown.index) == set(runs.index) | set(ledger["table_name"]), "files that were taken have no row"
    rejected = table(world, QUARANTINE)["table_name"].astype(str).value_counts()
    assert shown["rejected_rows"].sum() == rejected.sum() > 0
    assert shown.loc[[name for name in LANDING_SOURCES if name in shown.index], "partitions"].notna().all()
