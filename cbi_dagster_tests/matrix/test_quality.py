"""Each gate lets good rows pass and names the rows that break it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.tables.features import DAILY_ML_MATRIX
from cbi_dagster.config.universe import load_universe
from cbi_dagster.matrix.quality import QualityError, QualityReport, check_quality, raise_for_blocking, require_quality
from cbi_dagster.matrix.structs import enrich, flatten
from cbi_dagster_tests.matrix.matrix_frames import families, regimes, sessions

UNIVERSE = load_universe()


def flat_of(continuous: pd.DataFrame) -> pd.DataFrame:
    return enrich(flatten(continuous, families(continuous), DAILY_ML_MATRIX), regimes(continuous["date"]))


@pytest.fixture
def continuous() -> pd.DataFrame:
    return sessions()


@pytest.fixture
def flat(continuous: pd.DataFrame) -> pd.DataFrame:
    return flat_of(continuous)


def rules(report: QualityReport) -> dict[str, tuple[str, int]]:
    return {finding.rule: (finding.severity, len(finding.cases)) for finding in report.findings}


def key(frame: pd.DataFrame, row: int) -> str:
    return f"{frame['symbol'][row]} {frame['data_date'][row]:%Y-%m-%d}"


def test_good_rows_pass_in_silence(flat: pd.DataFrame, continuous: pd.DataFrame) -> None:
    report = check_quality(flat.sample(frac=1, random_state=2), continuous, UNIVERSE, as_of=dt.date(2020, 12, 31))
    assert report.findings == ()
    assert report.rows == 640
    require_quality(flat, continuous, UNIVERSE)


def test_no_rows_of_no_sessions_pass(flat: pd.DataFrame, continuous: pd.DataFrame) -> None:
    report = check_quality(flat.iloc[:0], continuous.iloc[:0], UNIVERSE, expected=continuous.iloc[:0])
    assert (report.rows, report.findings) == (0, ())


def put(row: int, **values: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(flat: pd.DataFrame) -> pd.DataFrame:
        for name, value in values.items():
            flat[name] = [value if number == row else old for number, old in enumerate(flat[name])]
        return flat

    return change


def put_out(flat: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """The same without fibs_ext_200 in some rows."""
    return flat.assign(fibs_ext_200=flat["fibs_ext_200"].mask(flat.index.isin(rows)))


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("the symbol is in universe.yaml", put(7, symbol="XX")),
        ("data_date is a weekday", put(7, data_date=pd.Timestamp("2019-06-01"))),
        *(
            ("open, high, low and close are known", put(7, **{f"market_data_{price}": np.nan}))
            for price in ("open", "high", "low", "close")
        ),
        ("low <= open, close <= high", put(7, market_data_open=1e9)),
        ("low <= open, close <= high", put(7, market_data_close=0.01)),
        ("low <= open, close <= high", put(7, market_data_low=1e9)),
        ("prices are positive", put(7, market_data_low=0.0)),
        ("volume is known and not negative", put(7, market_data_volume=-1)),
        ("volume is known and not negative", put(7, market_data_volume=np.nan)),
        ("every row has a regime", put(7, regime_name=None)),
        ("the regime's weight is 1 to 1000", put(7, regime_weight=0)),
        ("the regime's weight is 1 to 1000", put(7, regime_weight=1001)),
        ("the regime's weight is 1 to 1000", put(7, regime_weight=np.nan)),
        ("S1 <= P <= R1", put(7, pivots_P=1e9)),
        ("S1 <= P <= R1", put(7, pivots_P=-1e9)),
        ("S1 <= P <= R1", put(7, pivots_P=30.0, pivots_S1=30.01, pivots_R1=30.02)),
        ("S1 <= P <= R1", put(7, pivots_P=30.0, pivots_S1=29.98, pivots_R1=29.99)),
        ("symbol and data_date are known", put(7, symbol=None)),
        ("symbol and data_date are known", put(7, data_date=pd.NaT)),
    ],
)
def test_a_row_that_breaks_a_rule_blocks(
    rule: str, change: Callable[[pd.DataFrame], pd.DataFrame], flat: pd.DataFrame, continuous: pd.DataFrame
) -> None:
    report = check_quality(change(flat), continuous, UNIVERSE, expected=continuous)
    assert rules(report)[rule] == ("blocking", 1)
    with pytest.raises(QualityError, match="blocking"):
        raise_for_blocking(report)


@pytest.mark.parametrize("values", [{"regime_weight": 1}, {"regime_weight": 1000}, {"market_data_volume": 0}])
def test_the_bounds_of_a_rule_belong_to_it(
    values: dict[str, object], flat: pd.DataFrame, continuous: pd.DataFrame
) -> None:
    assert check_quality(put(7, **values)(flat), continuous, UNIVERSE).findings == ()


def test_a_bar_of_one_price_is_in_order(flat: pd.DataFrame, continuous: pd.DataFrame) -> None:
    one = put(7, **{f"market_data_{name}": 30.0 for name in ("open", "high", "low", "close")})(flat)
    assert "low <= open, close <= high" not in rules(check_quality(one, continuous, UNIVERSE))


def test_only_products_that_may_go_negative_do(flat: pd.DataFrame, continuous: pd.DataFrame) -> None:
    for symbol, passes in (("CL", True), ("HO", False)):
        down = flat.assign(symbol=symbol, market_data_low=-37.63).drop_duplicates("data_date")
        assert ("prices are positive" not in rules(check_quality(down, continuous, UNIVERSE))) is passes


def test_a_bar_without_range_has_its_pivot_within_it(flat: pd.DataFrame, continuous: pd.DataFrame) -> None:
    # high = low = close: P, R1 and S1 are the same price up to rounding.
    for price in np.random.default_rng(3).uniform(0.005, 7000.0, 200):
        point = (price + price + price) / 3 / 1.01
        same = put(7, pivots_P=point, pivots_S1=2 * point - price / 1.01, pivots_R1=2 * point - price / 1.01)(flat)
        assert "S1 <= P <= R1" not in rules(check_quality(same, continuous, UNIVERSE))


@pytest.mark.parametrize("price", [0.008, 45.0, 7000.0])
def test_what_counts_as_rounding_grows_with_the_price(
    price: float, flat: pd.DataFrame, continuous: pd.DataFrame
) -> None:
    for off, passes in ((0.9e-9, True), (1.1e-9, False)):
        above = put(7, pivots_P=price, pivots_S1=price * (1 + off), pivots_R1=price * 1.01)(flat)
        assert ("S1 <= P <= R1" not in rules(check_quality(above, continuous, UNIVERSE))) is passes
        below = put(7, pivots_P=price, pivots_S1=price * 0.99, pivots_R1=price * (1 - off))(flat)
        assert ("S1 <= P <= R1" not in rules(check_quality(below, continuous, UNIVERSE))) is passes


def test_rows_after_the_data_cut_block(flat: pd.DataFrame, continuous: pd.DataFrame) -> None:
    last = flat["data_date"].max().date()
    assert check_quality(flat, continuous, UNIVERSE, as_of=last).findings == ()
    before = last - dt.timedelta(days=1)
    assert rules(check_quality(flat, continuous, UNIVERSE, as_of=before)) == {
        f"data_date is not after {before}": ("blocking", 1)
    }


def test_rows_are_exactly_the_sessions(flat: pd.DataFrame, continuous: pd.DataFrame) -> None:
    report = check_quality(flat.drop(index=[3, 9]), continuous, UNIVERSE)
    assert rules(report) == {"every session is a row": ("blocking", 2)}
    assert report.findings[0].cases == (key(flat, 3), key(flat, 9))
    report = check_quality(flat, continuous.drop(index=[3]), UNIVERSE)
    assert rules(report) == {"every row is a session": ("blocking", 1)}
    report = check_quality(pd.concat([flat, flat.iloc[[3]]]), continuous, UNIVERSE)
    assert rules(report) == {"symbol and data_date are a unique key": ("blocking", 2)}


def test_more_than_three_missing_sessions_in_a_row_block_and_fewer_warn(
    flat: pd.DataFrame, continuous: pd.DataFrame
) -> None:
    zl = np.flatnonzero(continuous["symbol"] == "ZL")
    gone = [*zl[50:54], *zl[100:103], zl[104]]
    kept = continuous.drop(index=gone)
    report = check_quality(flat.drop(index=gone), kept, UNIVERSE, expected=continuous)
    assert rules(report) == {
        "no more than 3 expected sessions in a row are missing": ("blocking", 1),
        "no expected session is missing": ("warning", 2),
    }
    dates = continuous["date"].dt.strftime("%Y-%m-%d")
    assert report.blocking[0].cases == (f"ZL {dates[zl[50]]} to {dates[zl[53]]} (4)",)
    assert report.warnings[0].cases == (f"ZL {dates[zl[100]]} to {dates[zl[102]]} (3)", f"ZL {dates[zl[104]]}")


def test_sessions_expected_before_the_first_or_after_the_last_row_are_not_missing(
    flat: pd.DataFrame, continuous: pd.DataFrame
) -> None:
    zl = np.flatnonzero(continuous["symbol"] == "ZL")
    gone = [*zl[:20], *zl[-20:]]
    report = check_quality(flat.drop(index=gone), continuous.drop(index=gone), UNIVERSE, expected=continuous)
    assert report.findings == ()


def test_a_session_on_a_closed_day_warns(flat: pd.DataFrame, continuous: pd.DataFrame) -> None:
    report = check_quality(flat, continuous, UNIVERSE, expected=continuous.drop(index=[40]))
    assert rules(report) == {"every session is one that the exchange calendar expects": ("warning", 1)}
    assert report.findings[0].cases == (key(flat, 40),)


def test_prices_outside_the_bounds_of_the_product_warn(flat: pd.DataFrame, continuous: pd.DataFrame) -> None:
    low, high = UNIVERSE.product("ZL").price_bounds
    zl = int(np.flatnonzero(flat["symbol"] == "ZL")[5])
    for name, value, warns in (
        ("market_data_low", low, False),
        ("market_data_low", np.nextafter(low, 0), True),
        ("market_data_high", high, False),
        ("market_data_high", np.nextafter(high, 1e9), True),
    ):
        report = check_quality(put(zl, **{name: value})(flat.copy()), continuous, UNIVERSE)
        assert (rules(report).get("prices lie within the product's bounds") == ("warning", 1)) is warns


def test_an_unusual_return_warns_and_a_roll_gap_does_not(flat: pd.DataFrame, continuous: pd.DataFrame) -> None:
    rule = "returns lie within 8 MAD of the median"
    zl = continuous["symbol"] == "ZL"
    row = int(np.flatnonzero(zl)[100])
    shocked = continuous.copy()
    shocked.loc[row:, "adj_close"] *= np.where(zl[row:], 1.5, 1.0)
    report = check_quality(flat, shocked.sample(frac=1, random_state=5), UNIVERSE)
    assert rules(report) == {rule: ("warning", 1)}
    assert report.findings[0].cases == (key(flat, row),)
    rolled = continuous.copy()
    rolled.loc[row:, "close"] *= np.where(zl[row:], 1.5, 1.0)
    assert check_quality(flat, rolled, UNIVERSE).findings == ()
    # The deviation of few returns says little.
    few = slice(row - 30, row + 5)
    assert check_quality(flat[few], shocked[few], UNIVERSE).findings == ()


def test_a_return_is_unusual_beyond_eight_deviations_once_sixty_are_known(flat: pd.DataFrame) -> None:
    rule = "returns lie within 8 MAD of the median"
    days = pd.bdate_range("2019-01-01", periods=62)
    # Returns of 1 % up and down: their median is about 0 and their median absolute deviation 1 %.
    for last, count, warns in ((0.0799, 61, False), (0.0801, 61, True), (0.2, 60, False)):
        returns = np.append(np.where(np.arange(count - 2) % 2, 0.01, -0.01), last)
        close = 30.0 * np.cumprod(np.append(1.0, 1.0 + returns))
        assert len(close) == count
        prices = dict.fromkeys(("open", "high", "low", "close", "adj_close"), close)
        plain = pd.DataFrame({"symbol": "ZL", "date": days[:count], "roll_method": None, **prices})
        plain = plain.assign(session_quality="complete", is_roll=False, adj_factor=1.0)
        assert (rule in rules(check_quality(flat, plain, UNIVERSE))) is warns, (last, count)


def test_a_factor_that_compares_prices_across_a_gap_warns(flat: pd.DataFrame, continuous: pd.DataFrame) -> None:
    continuous.loc[[45, 90], "roll_method"] = ["after_gap", "adjacent_bars"]
    (finding,) = check_quality(flat, continuous, UNIVERSE).findings
    assert (finding.rule, finding.severity) == ("no factor compares prices across a gap", "warning")
    assert finding.cases == (key(flat, 45),)


def test_a_feature_that_never_changes_warns(flat: pd.DataFrame, continuous: pd.DataFrame) -> None:
    stuck = flat.assign(fibs_ext_200=np.where(flat["symbol"] == "ZL", 1.0, flat["fibs_ext_200"]))
    report = check_quality(stuck, continuous, UNIVERSE)
    assert rules(report) == {"features change over 252 or more rows": ("warning", 1)}
    assert report.findings[0].cases == ("ZL fibs_ext_200",)
    assert check_quality(stuck.assign(fibs_ext_200=np.nan), continuous, UNIVERSE).findings == ()
    known = np.flatnonzero(flat["symbol"] == "ZL")
    for count, warns in ((251, False), (252, True)):
        report = check_quality(put_out(stuck, known[count:]), continuous, UNIVERSE)
        assert (len(report.findings) == 1) is warns


def test_a_flag_that_never_changes_warns(flat: pd.DataFrame, continuous: pd.DataFrame) -> None:
    known = pd.array(flat["symbol"] == "ZL", dtype="boolean")
    report = check_quality(flat.assign(pivots_price_above_P=known), continuous, UNIVERSE)
    assert report.findings[0].cases == ("MES pivots_price_above_P", "ZL pivots_price_above_P")


def test_sessions_that_are_there_in_part_are_named_one_and_all(flat: pd.DataFrame, continuous: pd.DataFrame) -> None:
    continuous.loc[[5, 40, 41, 42], "session_quality"] = ["cut", "holed", "holed", "cut"]
    continuous.loc[50, "session_quality"] = "thin"
    (finding,) = check_quality(flat, continuous, UNIVERSE).findings
    assert finding.rule == "sessions are there as a whole"
    assert finding.cases == tuple(key(flat, row) for row in (5, 40, 41, 42))


def test_a_high_or_low_far_from_open_and_close_warns(flat: pd.DataFrame, continuous: pd.DataFrame) -> None:
    zl = int(np.flatnonzero(continuous["symbol"] == "ZL")[60])
    rows = continuous.loc[zl - 20 : zl - 1]
    usual = ((rows["high"] - rows["low"]) / rows["close"]).median() * continuous.loc[zl, "close"]
    for name, sign in (("high", 1), ("low", -1)):
        for ranges, warns in ((1.99, False), (2.01, True)):
            spiked = continuous.copy()
            spiked.loc[zl, ["high", "low"]] = spiked.loc[zl, "close"]
            spiked.loc[zl, ["open", name]] = spiked.loc[zl, "close"], spiked.loc[zl, "close"] + sign * ranges * usual
            found = rules(check_quality(flat, spiked, UNIVERSE))
            expected = {"high and low lie within 2 usual ranges of open and close": ("warning", 1)} if warns else {}
            assert found == expected
            thin = spiked.assign(session_quality="thin")
            assert check_quality(flat, thin, UNIVERSE).findings == ()


def test_a_factor_step_far_beyond_the_rolls_before_warns(flat: pd.DataFrame, continuous: pd.DataFrame) -> None:
    zl = np.flatnonzero(continuous["symbol"] == "ZL")
    for rolls, last, warns in ((8, 1.13, True), (8, 1.12, False), (7, 1.5, False)):
        steps = np.ones(len(zl))
        steps[10 : 10 + 20 * rolls : 20] = 1.01
        steps[300] = last
        rolled = continuous.copy()
        rolled.loc[zl, "adj_factor"] = np.cumprod(steps)
        rolled.loc[zl, "is_roll"] = steps != 1
        found = rules(check_quality(flat, rolled, UNIVERSE))
        assert ("factor steps are within 12 usual rolls of the market" in found) is warns, (rolls, last)


def test_sessions_before_a_date_are_there_to_compare_with(flat: pd.DataFrame, continuous: pd.DataFrame) -> None:
    zl = np.flatnonzero(continuous["symbol"] == "ZL")
    days = continuous["date"]
    shocked = continuous.copy()
    for row in (zl[100], zl[200]):
        shocked.loc[row:, "adj_close"] *= np.where(continuous["symbol"][row:] == "ZL", 1.5, 1.0)
    since = days[zl[150]].date()
    late = flat[(flat["data_date"] >= pd.Timestamp(since)).to_numpy()]
    report = check_quality(late, shocked, UNIVERSE, since=since)
    assert rules(report) == {"returns lie within 8 MAD of the median": ("warning", 1)}
    assert report.findings[0].cases == (key(flat, zl[200]),)


def test_null_rates_are_reported(flat: pd.DataFrame, continuous: pd.DataFrame) -> None:
    rates = check_quality(flat, continuous, UNIVERSE).null_rates
    assert rates["market_data_open"] == 0.0
    assert rates["pivots_P"] == 2 / 640
    assert rates["regime_k_vol"] == flat["regime_k_vol"].isna().mean() > 0.3


def test_the_error_names_every_blocking_rule_and_no_warning(flat: pd.DataFrame, continuous: pd.DataFrame) -> None:
    low, _ = UNIVERSE.product("ZL").price_bounds
    bad = put(400, market_data_volume=-1, regime_weight=0, market_data_low=low / 2)(flat)
    with pytest.raises(QualityError) as caught:
        require_quality(bad, continuous, UNIVERSE)
    report = check_quality(bad, continuous, UNIVERSE)
    assert report.findings == (*report.blocking, *report.warnings)
    assert len(report.warnings) == 1
    message = str(caught.value)
    assert "640 rows break 2 blocking rules and none was stored" in message
    assert f"the regime's weight is 1 to 1000: broken 1 x ({key(flat, 400)})" in message
    assert "volume is known and not negative" in message
    assert "warning" not in message


def test_findings_name_three_examples_and_say_there_are_more(flat: pd.DataFrame, continuous: pd.DataFrame) -> None:
    shuffled = flat.assign(regime_weight=0).sample(frac=1, random_state=4)
    (finding,) = check_quality(shuffled, continuous, UNIVERSE).blocking
    assert len(finding.cases) == 640
    assert str(finding).endswith(f"({key(flat, 0)}, {key(flat, 1)}, {key(flat, 2)}, …)")
