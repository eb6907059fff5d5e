"""Biofuel economics of the soybean oil row."""

from __future__ import annotations

import datetime as dt
import math
import re
import statistics
from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from cbi_dagster.catalog.columns import DICTIONARY
from cbi_dagster.catalog.columns.biofuel import FUTURES_UNITS, LEVELS, MATCHED
from cbi_dagster.catalog.columns.crush import LEGS
from cbi_dagster.catalog.frames import InvalidFrameError
from cbi_dagster.catalog.model import names
from cbi_dagster.catalog.tables.features import BIOFUEL_DAILY
from cbi_dagster.config.biofuel import Biofuel, BiofuelParameterSet, MacroSeries, Parameter, load_biofuel
from cbi_dagster.config.universe import load_universe
from cbi_dagster.features.biofuel import BiofuelInputError, biofuel_daily

from .continuous_frames import REAL_DATA, assert_the_past_stands, assert_windows_suffice, declared_back, random_sessions

PRICES = {"ZL": 50.0, "ZS": 1040.0, "ZM": 300.0, "ZC": 420.0, "CL": 80.0, "HO": 2.40, "RB": 2.25, "NG": 3.0}
SUGAR = 20.0
SCALE = {"ZL": (40, 0.01), "ZS": (1000, 0.25), "ZM": (320, 0.1), "ZC": (430, 0.25), "CL": (70, 0.01),
         "HO": (2.3, 0.0001), "RB": (2.1, 0.0001), "NG": (3.5, 0.001)}  # fmt: skip
DAYS = pd.bdate_range("2015-02-03", "2015-11-20", freq="7B")


def constant_market(dates: pd.DatetimeIndex, prices: dict[str, float] = PRICES) -> pd.DataFrame:
    """Every market at one price, whose `close_decision` is its close."""
    frames = [
        pd.DataFrame({"date": dates, "symbol": root, "close": price, "close_decision": price})
        for root, price in prices.items()
    ]
    return pd.concat(frames, ignore_index=True)


def macro_values(series_id: str, unit: str, dates: pd.DatetimeIndex, values: object) -> pd.DataFrame:
    return pd.DataFrame({"series_id": series_id, "date": dates, "value": values, "unit": unit})


def economics(frame: pd.DataFrame, macro: pd.DataFrame, parameters: Biofuel) -> pd.DataFrame:
    """The table from sessions that also say how each market stood at the decision time, where it had traded."""
    decisions = frame[frame["close_decision"].notna()].assign(adj_close_decision=frame["close_decision"])
    return biofuel_daily(frame, decisions, crush_of(frame), macro, parameters)


def crush_of(frame: pd.DataFrame) -> pd.DataFrame:
    """The legs of the crush, as if all sessions were of matched months."""
    legs = {"ZL": "crush_oil_price", "ZM": "crush_meal_price", "ZS": "crush_bean_price"}
    wide = frame[frame["symbol"].isin(list(legs))].pivot(index="date", columns="symbol", values="close")
    return wide.reindex(columns=list(legs)).rename(columns=legs).reset_index().assign(symbol="ZL")


NO_MACRO = macro_values("SB", "USc/lb", pd.DatetimeIndex([]), [])
DAY = pd.DatetimeIndex(["2025-03-03"])


def golden_row(prices: dict[str, float] = PRICES, sugar: float = SUGAR, date: str = "2025-03-03") -> pd.Series:
    dates = pd.DatetimeIndex([date])
    return economics(constant_market(dates, prices), macro_values("SB", "USc/lb", dates, sugar), load_biofuel()).iloc[0]


@pytest.fixture(scope="module")
def market() -> pd.DataFrame:
    """All markets: holidays of soybean oil, holes of some others, and unknown decision prices here and there."""
    rng = np.random.default_rng(5)
    frames = []
    for seed, (root, (price, tick)) in enumerate(SCALE.items()):
        holes = ((60, 4), (100, 6), (150, 9)) if root in ("ZM", "HO") else ((120, 5),) if root == "ZL" else ()
        rate = 0.04 if root == "ZL" else 0.0
        frame = random_sessions(root, seed, 240, price=price, tick=tick, holes=holes, holiday_rate=rate)
        frame["close_decision"] = frame["close"] * np.exp(rng.normal(0, 0.002, len(frame)))
        frame.loc[rng.random(len(frame)) < 0.003, "close_decision"] = np.nan
        frames.append(frame)
    return pd.concat(frames, ignore_index=True).sample(frac=1, random_state=1, ignore_index=True)


@pytest.fixture(scope="module")
def macro(market: pd.DataFrame) -> pd.DataFrame:
    dates = pd.bdate_range(market["date"].min(), market["date"].max())
    rng = np.random.default_rng(6)
    sugar = macro_values("SB", "USc/lb", dates, 15 * np.exp(np.cumsum(rng.normal(0, 0.02, len(dates)))))
    energy = macro_values("ICLN", "USD/share", dates, 12 * np.exp(np.cumsum(rng.normal(0, 0.02, len(dates)))))
    energy.loc[rng.random(len(energy)) < 0.02, ["value", "unit"]] = [np.nan, None]
    return pd.concat([sugar, energy], ignore_index=True)


@pytest.fixture
def compute(macro: pd.DataFrame) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def daily(frame: pd.DataFrame) -> pd.DataFrame:
        seen = macro[(macro["date"] >= frame["date"].min()) & (macro["date"] <= frame["date"].max())]
        return economics(frame, seen, load_biofuel())

    return daily


# -- values -----------------------------------------------------------------------------------------------------------

GOLDEN = {
    "boho_spread": 1.35,
    "biodiesel_margin": -1.85,
    "d4_rin_proxy": 1.85 / 1.5,
    "d6_rin_proxy": 0.5 + 1.5 - 1.50075 - 1.5 * 17 / 56,
    "d5_rin_proxy": 1.85 / 1.5,
    "oil_value_bu": 5.50,
    "board_crush": 1.70,
    "oil_share": 5.5 / 12.1,
    "ethanol_margin_proxy": 1.50075 - 1.5 - 0.5 + 1.5 * 17 / 56,
    "ethanol_parity_spread": 0.00075,
    "sugar_ethanol_spread": 2.96 - 1.5,
    "soy_to_corn_ratio": 1040 / 420,
    "oil_to_gas_ratio": 80 / 94.5,
    "nat_gas_cost_per_gal_ethanol": 0.078,
    "crack_321": (2 * 94.5 + 100.8 - 240) / 3,
    "biodiesel_margin_to_oil": -1.85 / 3.75,
    "ethanol_margin_proxy_to_gasoline": (1.50075 - 2.0 + 1.5 * 17 / 56) / 2.25,
}


@pytest.mark.parametrize("column", GOLDEN)
def test_golden_vector(column: str) -> None:
    assert golden_row()[column] == pytest.approx(GOLDEN[column], rel=1e-12, abs=1e-12)


def test_every_level_has_a_golden_value() -> None:
    assert set(names(LEVELS)) <= set(GOLDEN)


def test_known_round_numbers() -> None:
    row = golden_row()
    assert row["d4_rin_proxy"] == pytest.approx(1.233, abs=5e-4)
    assert row["oil_share"] == pytest.approx(0.4545, abs=5e-5)


#: First and last dates on which an act that covered them had been signed.
CREDIT_IN_FORCE = [
    ("2005-01-01", "2009-12-31"), ("2010-12-17", "2011-12-31"), ("2013-01-02", "2013-12-31"),
    ("2014-12-19", "2014-12-31"), ("2015-12-18", "2016-12-31"), ("2019-12-20", "2024-12-31"),
]  # fmt: skip


def test_the_blender_credit_counts_only_while_an_act_that_covers_the_date_had_been_signed() -> None:
    days = pd.bdate_range("2004-06-01", "2026-06-30")
    rows = economics(constant_market(days), NO_MACRO, load_biofuel()).set_index("date")
    known = np.zeros(len(days), bool)
    for first, last in CREDIT_IN_FORCE:
        known |= np.asarray((days >= first) & (days <= last))
    assert (rows["blender_credit_in_force"] == known).all()
    assert rows["biodiesel_margin"].to_numpy() == pytest.approx(np.where(known, -0.85, -1.85))
    assert rows["d4_rin_proxy"].to_numpy() == pytest.approx(np.where(known, 0.85, 1.85) / 1.5)


def test_a_profitable_producer_needs_no_rin() -> None:
    row = golden_row(PRICES | {"ZL": 20.0, "RB": 4.0})
    assert row["biodiesel_margin"] > 0
    assert row["ethanol_margin_proxy"] > 0
    assert (row[["d4_rin_proxy", "d5_rin_proxy", "d6_rin_proxy"]] == 0).all()


def test_an_advanced_rin_is_worth_no_less_than_a_conventional_one() -> None:
    row = golden_row(PRICES | {"ZL": 20.0, "RB": 1.0})
    assert row["d4_rin_proxy"] == 0
    assert row["d5_rin_proxy"] == row["d6_rin_proxy"] > 0


def test_negative_crude_makes_a_crack_but_no_absurd_ratio_of_infinities() -> None:
    row = golden_row(PRICES | {"CL": -37.63})
    assert row["crack_321"] == pytest.approx((2 * 94.5 + 100.8 + 3 * 37.63) / 3)
    nothing = golden_row(PRICES | {"RB": 0.0, "ZC": 0.0})
    assert nothing[["soy_to_corn_ratio", "oil_to_gas_ratio", "ethanol_margin_proxy_to_gasoline"]].isna().all()


# -- units ------------------------------------------------------------------------------------------------------------


def dimension(unit: str, scales: dict[str, float]) -> float:
    """By what a number in `unit` grows when one of each base unit becomes `scales[base]` of a smaller one."""
    if unit in ("fraction", "ratio"):
        return 1.0
    top, bottom = unit.split("/")
    return scales[top] / scales[bottom]


def in_other_units(scales: dict[str, float], misstated: str = "") -> pd.Series:
    """The golden row with every price and parameter restated in rescaled base units; `misstated` is left as it is."""

    def restated(name: str, unit: str, value: float) -> float:
        return value if name == misstated else value * dimension(unit, scales)

    loaded = load_biofuel()
    parameters = {}
    for name, unit in BiofuelParameterSet.UNITS.items():
        parameter: Parameter = getattr(loaded.parameters, name)
        periods = tuple(
            period.model_copy(update={"value": restated(name, unit, period.value)}) for period in parameter.periods
        )
        parameters[name] = parameter.model_copy(update={"periods": periods})
    biofuel = loaded.model_copy(update={"parameters": loaded.parameters.model_copy(update=parameters)})
    dates = pd.DatetimeIndex(["2024-03-04"])
    prices = {root: restated(root, FUTURES_UNITS[root], price) for root, price in PRICES.items()}
    sugar = macro_values("SB", "USc/lb", dates, restated("SB", "USc/lb", SUGAR))
    return economics(constant_market(dates, prices), sugar, biofuel).iloc[0][list(GOLDEN)]


BASE_UNITS = sorted(
    {
        base
        for unit in [*FUTURES_UNITS.values(), *BiofuelParameterSet.UNITS.values(), "USD/RIN"]
        for base in unit.split("/")
    }
)


@pytest.mark.parametrize("base", BASE_UNITS)
def test_every_column_is_in_the_unit_it_declares(base: str) -> None:
    """Dimensional analysis by counterexample: in a system whose `base` is ten times smaller, every result follows."""
    scales = dict.fromkeys(BASE_UNITS, 1.0) | {base: 10.0}
    plain, scaled = in_other_units(dict.fromkeys(BASE_UNITS, 1.0)), in_other_units(scales)
    for column in GOLDEN:
        expected = plain[column] * dimension(DICTIONARY[column].unit, scales)
        assert scaled[column] == pytest.approx(expected, rel=1e-9, abs=1e-9), column


DIMENSIONAL = [
    *FUTURES_UNITS,
    "SB",
    *(name for name, unit in BiofuelParameterSet.UNITS.items() if len(set(unit.split("/"))) > 1),
]


@pytest.mark.parametrize("misstated", DIMENSIONAL)
def test_an_input_in_another_unit_is_noticed(misstated: str) -> None:
    unit = {**FUTURES_UNITS, "SB": "USc/lb", **BiofuelParameterSet.UNITS}[misstated]
    scales = dict.fromkeys(BASE_UNITS, 1.0) | {unit.split("/")[0]: 10.0}
    plain = in_other_units(dict.fromkeys(BASE_UNITS, 1.0))
    wrong = in_other_units(scales, misstated)
    follows = [
        wrong[column] == pytest.approx(plain[column] * dimension(DICTIONARY[column].unit, scales), rel=1e-9)
        for column in GOLDEN
    ]
    assert not all(follows)


@pytest.mark.parametrize("root", FUTURES_UNITS)
def test_a_price_in_dollars_instead_of_cents_breaks_the_golden_vector(root: str) -> None:
    row = golden_row(PRICES | {root: PRICES[root] / 100})
    assert any(row[column] != pytest.approx(value, rel=1e-6) for column, value in GOLDEN.items())


def test_the_markets_are_quoted_in_the_units_that_the_formulas_read() -> None:
    universe = load_universe()
    assert {root: universe.product(root).quote_unit for root in FUTURES_UNITS} == FUTURES_UNITS


def test_a_series_in_another_unit_is_refused() -> None:
    sugar = macro_values("SB", "USD/lb", DAY, 0.2)
    with pytest.raises(BiofuelInputError, match="SB has values in USD/lb, the formulas need USc/lb"):
        economics(constant_market(DAY), sugar, load_biofuel())


# -- what is known when -----------------------------------------------------------------------------------------------


def test_grains_count_at_their_close_and_others_at_the_decision_time() -> None:
    frame = constant_market(DAY)
    own = frame["symbol"].isin(["ZL", "ZS", "ZM", "ZC"])  # meal is in the crush alone
    expected = economics(frame, NO_MACRO, load_biofuel())
    frame.loc[own, "close_decision"] = 1.0
    frame.loc[~own, "close"] = 1.0
    pd.testing.assert_frame_equal(economics(frame, NO_MACRO, load_biofuel()), expected, check_exact=True)


@pytest.mark.parametrize("root", ["ZC", "HO"])
def test_a_market_that_did_not_trade_is_unknown_and_no_older_price_stands_for_it(root: str) -> None:
    dates = pd.bdate_range("2025-03-03", periods=3)
    frame = constant_market(dates)
    gone = (frame["symbol"] == root) & (frame["date"] == dates[1])
    rows = economics(frame[~gone], NO_MACRO, load_biofuel())
    column = {"ZC": "soy_to_corn_ratio", "HO": "boho_spread"}[root]
    assert rows[column].isna().tolist() == [False, True, False]
    assert rows["oil_value_bu"].notna().all()


def test_the_crush_is_of_its_legs_and_its_windows_of_the_known_ones() -> None:
    dates = pd.bdate_range("2025-01-06", periods=60)
    frame = constant_market(dates)
    crush = crush_of(frame).assign(crush_oil_price=40.0, crush_meal_price=200.0, crush_bean_price=800.0)
    crush.loc[30:39, list(LEGS)] = np.nan
    crush.loc[45:, list(LEGS)] = np.nan
    decisions = frame.assign(adj_close_decision=1.0)
    rows = biofuel_daily(frame, decisions, crush, NO_MACRO, load_biofuel())
    assert rows["board_crush"].dropna().to_numpy() == pytest.approx(4.4 + 4.4 - 8)
    assert rows["oil_share"].dropna().to_numpy() == pytest.approx(0.5)
    assert rows["board_crush"].isna().tolist() == crush["crush_oil_price"].isna().tolist()
    assert (rows["oil_value_bu"] == 5.5).all()
    # Twenty of thirty and thirteen of twenty must be known.
    assert np.flatnonzero(rows["board_crush_ma30"].notna()).tolist() == list(range(29, 45))
    assert np.flatnonzero(rows["board_crush_vol20"].notna()).tolist() == list(range(19, 37))
    assert rows["board_crush_ma30"].dropna().to_numpy() == pytest.approx(0.8)


def test_a_market_that_is_not_there_makes_its_columns_null_and_no_others() -> None:
    without = economics(constant_market(DAY).query("symbol != 'ZM'"), NO_MACRO, load_biofuel()).iloc[0]
    needs_meal = {"board_crush", "oil_share"}
    assert {column for column in GOLDEN if np.isnan(without[column])} == needs_meal | {"sugar_ethanol_spread"}


def test_without_macro_series_only_their_columns_are_null(market: pd.DataFrame) -> None:
    last = economics(market, NO_MACRO, load_biofuel()).notna().any()
    null = {"sugar_ethanol_spread", "sugar_ethanol_spread_ma30", "sugar_ethanol_spread_vol20"}
    null |= {"clean_energy_momentum_7d", "clean_energy_momentum_30d"}
    assert set(last.index[~last]) == null


def test_momentum_is_the_change_over_soybean_oil_sessions() -> None:
    dates = pd.bdate_range("2025-01-06", periods=40).delete(20)  # a holiday of soybean oil
    values = np.arange(100.0, 140.0)
    energy = macro_values("ICLN", "USD/share", pd.bdate_range("2025-01-06", periods=40), values)
    row = economics(constant_market(dates), energy, load_biofuel()).iloc[-1]
    assert row["clean_energy_momentum_7d"] == pytest.approx(139 / 132 - 1)
    assert row["clean_energy_momentum_30d"] == pytest.approx(139 / 108 - 1)


def test_two_macro_values_for_one_date_are_refused() -> None:
    twice = macro_values("SB", "USc/lb", DAY.repeat(2), [20.0, 21.0])
    with pytest.raises(InvalidFrameError, match=r"values of macro series repeat .* \(SB, 2025-03-03"):
        economics(constant_market(DAY), twice, load_biofuel())


def test_missing_columns_are_named() -> None:
    with pytest.raises(InvalidFrameError, match="values of macro series lack unit"):
        economics(constant_market(DAY), NO_MACRO.drop(columns="unit"), load_biofuel())
    frame = constant_market(DAY)
    decisions, crush = frame.assign(adj_close_decision=1.0), crush_of(frame)
    with pytest.raises(InvalidFrameError, match="sessions lack close"):
        biofuel_daily(frame.drop(columns="close"), decisions, crush, NO_MACRO, load_biofuel())
    with pytest.raises(InvalidFrameError, match="prices at the decision time lack adj_close_decision"):
        biofuel_daily(frame, frame, crush, NO_MACRO, load_biofuel())
    with pytest.raises(InvalidFrameError, match="crush_bean_price"):
        biofuel_daily(frame, decisions, crush.drop(columns="crush_bean_price"), NO_MACRO, load_biofuel())


# -- windows ----------------------------------------------------------------------------------------------------------


def test_statistics_are_those_of_the_last_sessions(
    compute: Callable[[pd.DataFrame], pd.DataFrame], market: pd.DataFrame
) -> None:
    computed = compute(market)
    checked = 0
    for end in range(30, len(computed), 17):
        for level in set(names(LEVELS)) - set(MATCHED):
            window = computed[level].iloc[end - 30 : end].tolist()
            mean, deviation = computed[f"{level}_ma30"].iloc[end - 1], computed[f"{level}_vol20"].iloc[end - 1]
            if not math.isnan(mean):
                assert mean == pytest.approx(statistics.fmean(window), rel=1e-9, abs=1e-12)
                assert deviation == pytest.approx(statistics.stdev(window[-20:]), rel=1e-9, abs=1e-12)
                checked += 1
    assert checked > 60


def test_warm_up_is_null_to_the_session() -> None:
    dates = pd.bdate_range("2025-01-06", periods=40)
    computed = economics(constant_market(dates), NO_MACRO, load_biofuel())
    assert int(computed["board_crush_ma30"].first_valid_index()) == 29
    assert int(computed["board_crush_vol20"].first_valid_index()) == 19
    assert computed["board_crush_vol20"].iloc[-1] == pytest.approx(0, abs=1e-12)


def test_one_row_per_soybean_oil_session(compute: Callable[[pd.DataFrame], pd.DataFrame], market: pd.DataFrame) -> None:
    computed = compute(market)
    assert computed["date"].tolist() == sorted(market.loc[market["symbol"] == "ZL", "date"])
    assert (computed["symbol"] == "ZL").all()
    assert not np.isinf(computed.select_dtypes("float").to_numpy()).any()


def test_an_empty_frame_gives_an_empty_frame_of_the_same_columns(market: pd.DataFrame) -> None:
    full = economics(market, NO_MACRO, load_biofuel())
    for empty in (market.iloc[:0], market[market["symbol"] == "CL"]):
        computed = economics(empty, NO_MACRO, load_biofuel())
        assert len(computed) == 0
        assert (computed.dtypes == full.dtypes).all()


def test_deleting_the_future_changes_nothing(
    compute: Callable[[pd.DataFrame], pd.DataFrame], market: pd.DataFrame
) -> None:
    assert_the_past_stands(compute, market, DAYS[::3])


def test_a_planted_look_ahead_is_noticed(compute: Callable[[pd.DataFrame], pd.DataFrame], market: pd.DataFrame) -> None:
    def looks_ahead(frame: pd.DataFrame) -> pd.DataFrame:
        ahead = frame.sort_values("date").groupby("symbol")["close_decision"].shift(-1)
        return compute(frame.assign(close_decision=ahead))

    with pytest.raises(AssertionError):
        assert_the_past_stands(looks_ahead, market, DAYS[::3])


def soybean_oil_days(market: pd.DataFrame) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(sorted(market.loc[market["symbol"] == "ZL", "date"])[20::3])


def test_a_day_alone_equals_the_full_rebuild(
    compute: Callable[[pd.DataFrame], pd.DataFrame], market: pd.DataFrame
) -> None:
    assert_windows_suffice(compute, market, soybean_oil_days(market), declared_back(BIOFUEL_DAILY))


def test_the_reach_is_no_shorter_than_it_says() -> None:
    dates = pd.bdate_range("2025-03-03", periods=declared_back(BIOFUEL_DAILY) + 1)
    frame = constant_market(dates)
    # 31 soybean oil sessions over as many trade dates as they may span.
    oil_sessions = dates.delete([3, 9, 15, 21])
    frame = frame[(frame["symbol"] != "ZL") | frame["date"].isin(oil_sessions)]
    assert len(oil_sessions) == 31
    energy = macro_values("ICLN", "USD/share", dates, np.where(dates == dates[0], 10.0, 12.0))
    seen, cut = (economics(frame[frame["date"] >= since], energy, load_biofuel()) for since in dates[:2])
    assert seen["clean_energy_momentum_30d"].iloc[-1] == pytest.approx(0.2)
    assert np.isnan(cut["clean_energy_momentum_30d"].iloc[-1])


def test_thirty_trade_dates_would_not_do(compute: Callable[[pd.DataFrame], pd.DataFrame], market: pd.DataFrame) -> None:
    with pytest.raises(AssertionError):
        assert_windows_suffice(compute, market, soybean_oil_days(market), 30)


# -- parameters -------------------------------------------------------------------------------------------------------


def altered(name: str, **changes: object) -> dict[str, object]:
    content = load_biofuel().model_dump()
    content["parameters"][name] |= changes
    return content


def test_every_parameter_says_where_it_comes_from() -> None:
    assert set(BiofuelParameterSet.UNITS) == set(BiofuelParameterSet.model_fields)
    for name in BiofuelParameterSet.UNITS:
        assert all(period.provenance for period in getattr(load_biofuel().parameters, name).periods)


def test_a_parameter_in_another_unit_is_refused() -> None:
    with pytest.raises(ValidationError, match="ethanol_yield is stated in bu/gal, the formulas need gal/bu"):
        Biofuel.model_validate(altered("ethanol_yield", unit="bu/gal"))


def test_overlapping_periods_are_refused() -> None:
    first = {"value": 1, "provenance": "x", "valid_to": dt.date(2020, 1, 1)}
    second = {"value": 2, "provenance": "x", "valid_from": dt.date(2020, 1, 1)}
    with pytest.raises(ValidationError, match="ascend without overlap"):
        Biofuel.model_validate(altered("blender_credit", periods=[first, second]))
    with pytest.raises(ValidationError, match="ascend without overlap"):
        Biofuel.model_validate(altered("blender_credit", periods=[second | {"valid_to": dt.date(2019, 1, 1)}]))


def test_outside_its_periods_a_parameter_is_unknown() -> None:
    period = {"value": 1, "provenance": "x", "valid_from": dt.date(2026, 1, 1)}
    biofuel = Biofuel.model_validate(altered("blender_credit", periods=[period]))
    row = economics(constant_market(DAY), NO_MACRO, biofuel).iloc[0]
    assert np.isnan(row["biodiesel_margin"])
    assert pd.isna(row["blender_credit_in_force"])
    assert row["boho_spread"] == pytest.approx(1.35)


def test_a_series_in_another_unit_is_refused_in_the_configuration_too() -> None:
    content = load_biofuel().model_dump()
    content["series"]["sugar"]["unit"] = "USD/lb"
    with pytest.raises(ValidationError, match=re.escape("sugar is in USD/lb")):
        Biofuel.model_validate(content)
    assert isinstance(load_biofuel().series.sugar, MacroSeries)


# -- real prices ------------------------------------------------------------------------------------------------------


def test_real_prices_give_plausible_economics() -> None:
    path = REAL_DATA / "inputs" / "commodity_prices_daily_2000_2025.parquet"
    if not path.exists():
        pytest.skip(f"no real data at {path}")
    table = pq.read_table(path).to_pandas(ignore_metadata=True)
    table["date"] = pd.to_datetime(table["date"]).astype("datetime64[ns]")
    table = table[table["date"].dt.dayofweek < 5]
    roots = {"soybean_oil_price_cwt": "ZL", "soybean_price_cents_bu": "ZS", "soybean_meal_price_ton": "ZM",
             "corn_price_cents_bu": "ZC", "heating_oil_price_gal": "HO", "gasoline_price_gal": "RB",
             "natural_gas_price_mmbtu": "NG", "crude_oil_price_bbl": "CL"}  # fmt: skip
    frame = table.rename(columns=roots).melt("date", list(roots.values()), "symbol", "close").dropna()
    frame["close_decision"] = frame["close"]
    sugar = macro_values("SB", "USc/lb", pd.DatetimeIndex(table["date"]), table["sugar_price_cents_lb"].to_numpy())
    computed = economics(frame, sugar, load_biofuel())
    middle = computed[list(GOLDEN)].median()
    assert 0.5 < middle["board_crush"] < 2
    assert 0.3 < middle["oil_share"] < 0.5
    assert 0.2 < middle["boho_spread"] < 1.2
    assert 1.8 < middle["soy_to_corn_ratio"] < 3
    assert 0.7 < middle["oil_to_gas_ratio"] < 1
    assert 5 < middle["crack_321"] < 30
    assert 0 <= middle["d6_rin_proxy"] < 1
    assert -0.5 < middle["ethanol_parity_spread"] < 0.8
