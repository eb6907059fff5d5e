"""The baseline learns from what had come, says what resembled a row in the past, and is scored by what came."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.columns.forecasts import MODELS, QUANTILES
from cbi_dagster.catalog.frames import InvalidFrameError
from cbi_dagster.catalog.model import Column, Type
from cbi_dagster.config.horizons import Horizon
from cbi_dagster.training.baseline import forecasts
from cbi_dagster.training.forests import MIN_ROWS, yearly_forests
from cbi_dagster.training.performance import model_performance

WEEK = Horizon(symbol="ZL", name="1w", sessions=5, model_family="tree")
FEATURES = (
    Column("signal", Type.FLOAT64, "What the next week's return is made of."),
    Column("noise", Type.FLOAT64, "Nothing."),
    Column("is_up", Type.BOOL, "Nothing."),
    Column("side", Type.STRING, "Nothing.", isin=("low", "high")),
    Column("never", Type.FLOAT64, "Never known."),
)


@dataclass(frozen=True)
class Market:
    """Sessions of ZL whose return over the next five is `signal`, and the rows of the matrix that know it."""

    rows: pd.DataFrame
    continuous: pd.DataFrame

    def forests(self, first: str = "2000-01-01", last: str = "2100-01-01") -> pd.DataFrame:
        wanted = self.rows.rename(columns={"data_date": "date"})[["date", "symbol"]]
        wanted = wanted[(wanted["date"] >= first) & (wanted["date"] <= last)]
        return yearly_forests(self.rows, self.continuous, wanted, [WEEK], FEATURES)

    def forecasts(self, first: str = "2000-01-01", last: str = "2100-01-01") -> pd.DataFrame:
        asked = (self.rows["data_date"] >= first) & (self.rows["data_date"] <= last)
        return forecasts(self.rows[asked], self.forests(), [WEEK], FEATURES)

    def landed_by(self, last: str) -> Market:
        """The same, when nothing later was known."""
        return Market(self.rows[self.rows["data_date"] <= last], self.continuous[self.continuous["date"] <= last])


def market(count: int = 700, seed: int = 3) -> Market:
    random = np.random.default_rng(seed)
    dates = pd.bdate_range("2020-01-01", periods=count)
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.01, count)))
    ahead = np.full(count, np.nan)
    ahead[:-5] = close[5:] / close[:-5] - 1
    rows = pd.DataFrame(
        {
            "symbol": "ZL",
            "data_date": dates,
            "timestamp": dates.tz_localize("America/Chicago").tz_convert("UTC") + pd.Timedelta(hours=13, minutes=20),
            "market_data_close": close,
            "signal": np.where(np.isnan(ahead), 0, ahead) + random.normal(0, 0.005, count),
            "noise": random.normal(size=count),
            "is_up": pd.array(random.random(count) > 0.5, "boolean"),
            "side": random.choice(["low", "high"], count).astype(object),
            "never": np.nan,
        }
    )
    rows.loc[::7, ["is_up", "side"]] = None
    rows.loc[::11, "noise"] = np.nan
    continuous = pd.DataFrame(
        {"date": dates, "symbol": "ZL", "session_quality": "complete", "close": close, "adj_factor": 1.0}
    )
    return Market(rows, continuous)


@pytest.fixture(scope="module")
def made() -> Market:
    return market()


@pytest.fixture(scope="module")
def forecast(made: Market) -> pd.DataFrame:
    return made.forecasts()


def of(forecast: pd.DataFrame, model: str) -> pd.DataFrame:
    return forecast[forecast["model"] == model].set_index("date")


def test_each_date_has_one_forecast_of_each_model(made: Market, forecast: pd.DataFrame) -> None:
    for model in MODELS:
        assert list(of(forecast, model).index) == list(made.rows["data_date"])
    stated = forecast[forecast["forecast_p10"].notna()]
    assert (stated["forecast_p10"] <= stated["forecast_p50"]).all()
    assert (forecast["timestamp"].dt.date == forecast["date"].dt.date).all()


def test_a_year_is_forecast_by_what_had_come_before_it(made: Market, forecast: pd.DataFrame) -> None:
    rows = of(forecast, "quantile_forest")
    # The first year has nothing behind it; the last target that had come before 2021 is the close of its eve.
    assert rows.loc["2020", "forecast_p50"].isna().all()
    assert set(rows.loc["2020", "trained_rows"]) == {0}
    assert rows.loc["2020", "trained_to"].isna().all()
    assert set(rows.loc["2021", "trained_to"]) == {pd.Timestamp("2020-12-31")}
    assert set(rows.loc["2021", "trained_rows"]) == {(made.rows["data_date"] < "2021").sum() - 5}
    later = made.rows["data_date"] >= "2021-06-01"
    changed = Market(made.rows.copy(), made.continuous.copy())
    changed.rows.loc[later, "signal"] = 0.0
    changed.continuous.loc[later, "close"] *= 1.5
    pd.testing.assert_frame_equal(changed.forecasts(last="2021-05-31"), made.forecasts(last="2021-05-31"))


def test_one_date_alone_gives_the_same_bits(made: Market, forecast: pd.DataFrame) -> None:
    same = forecast[forecast["date"] == "2021-03-10"].reset_index(drop=True)
    pd.testing.assert_frame_equal(made.forecasts("2021-03-10", "2021-03-10"), same, check_exact=True)
    then = made.landed_by("2021-03-10").forecasts("2021-03-10")
    pd.testing.assert_frame_equal(then, same, check_exact=True)


def test_a_signal_is_found_and_the_naive_forecasts_know_nothing_of_it(made: Market, forecast: pd.DataFrame) -> None:
    known = of(forecast, "quantile_forest")["forecast_p50"].dropna()
    came = made.rows.set_index("data_date")["signal"]
    assert np.corrcoef(known, came[known.index])[0, 1] > 0.7
    assert set(of(forecast, "no_change")["forecast_p50"].dropna()) == {0.0}
    assert of(forecast, "no_change")["forecast_p10"].isna().all()
    learnt = made.continuous["close"].to_numpy()
    returns = (learnt[5:] / learnt[:-5] - 1)[: (made.rows["data_date"] < "2021").sum() - 5]
    past = of(forecast, "past_returns").loc["2021-06-01"]
    for name, level in QUANTILES.items():
        assert past[f"forecast_{name}"] == pytest.approx(np.quantile(returns, level, method="inverted_cdf"), abs=1e-9)
    assert past["forecast_price_p90"] == pytest.approx(past["close"] * (1 + past["forecast_p90"]))


def test_a_date_is_forecast_by_the_last_forest_of_its_year_that_is_not_after_it(made: Market) -> None:
    forests = made.forests()
    none = of(forecasts(made.rows, forests[forests["date"] < "2022-01-01"], [WEEK], FEATURES), "quantile_forest")
    assert none["forecast_p50"].last_valid_index() == pd.Timestamp("2021-12-31"), "it forecasts no year but its own"
    # Its year was thought to begin later: nothing that came since is in it.
    late = forests[forests["date"] >= "2022-01-01"].assign(date=pd.Timestamp("2022-03-01"))
    given = forecasts(made.rows, pd.concat([forests, late]), [WEEK], FEATURES)
    pd.testing.assert_frame_equal(given, made.forecasts(), check_exact=True)
    only = of(forecasts(made.rows, late, [WEEK], FEATURES), "quantile_forest")
    assert only["forecast_p50"].first_valid_index() == pd.Timestamp("2022-03-01")


def test_rows_that_cannot_be_forecast_are_refused(made: Market) -> None:
    with pytest.raises(InvalidFrameError, match="lack never"):
        Market(made.rows.drop(columns="never"), made.continuous).forecasts()
    with pytest.raises(InvalidFrameError, match="lack forest_leaves"):
        forecasts(made.rows, made.forests().drop(columns="forest_leaves"), [WEEK], FEATURES)
    few = market(MIN_ROWS)
    assert few.forecasts()["forecast_p50"].isna().all()
    assert made.forecasts("2019-01-01", "2019-12-31").empty


# -- scores -----------------------------------------------------------------------------------------------------------


def calendar(made: Market) -> pd.DataFrame:
    dates = made.rows["data_date"]
    regime = np.where(dates < "2021-09-01", "calm", "storm").astype(object)
    return pd.DataFrame({"date": dates, "regime": regime, "valid_from": dates.min(), "valid_to": pd.NaT})


def test_scores_are_those_of_forecasts_whose_targets_had_come(made: Market, forecast: pd.DataFrame) -> None:
    scores = model_performance(forecast, made.continuous, calendar(made), (WEEK,))
    close = made.continuous.set_index("date")["close"]
    came = close.shift(-5) / close - 1
    ends = pd.Series(close.index, close.index).shift(-5)
    regime = calendar(made).set_index("date")["regime"]
    for _, row in scores.iterrows():
        own = of(forecast, row["model"])
        own = own[own["forecast_p50"].notna() & (ends[own.index] < row["date"])]
        if row["scored_regime"] != "all":
            own = own[regime[own.index] == row["scored_regime"]]
        error = came[own.index] - own["forecast_p50"]
        assert row["scored_forecasts"] == len(own)
        assert row["mean_absolute_error"] == pytest.approx(error.abs().mean(), abs=1e-9)
        assert row["root_mean_squared_error"] == pytest.approx((error**2).mean() ** 0.5, abs=1e-9)
        prices = close.shift(-5)[own.index]
        assert row["mean_absolute_percentage_error"] == pytest.approx(
            ((prices - own["forecast_price_p50"]).abs() / prices).mean(), abs=1e-9
        )
        naive = came[own.index].abs().mean()
        assert row["error_over_no_change"] == pytest.approx(error.abs().mean() / naive, abs=1e-8)
        if row["model"] == "no_change":
            assert np.isnan(row[["interval_coverage", "pinball_loss", "directional_accuracy"]].to_numpy(float)).all()
            continue
        inside = (came[own.index] >= own["forecast_p10"]) & (came[own.index] <= own["forecast_p90"])
        assert row["interval_coverage"] == pytest.approx(inside.mean(), abs=1e-9)
        signs = own["forecast_p50"] != 0
        right = np.sign(came[own.index]) == np.sign(own["forecast_p50"])
        assert row["directional_accuracy"] == pytest.approx(right[signs].mean(), abs=1e-9)
    firsts = close.index.to_series().groupby(close.index.to_period("M")).first()
    assert set(scores["date"]) <= set(firsts)
    assert set(scores["date"]) == set(firsts[firsts > "2021-01-31"])
    assert set(scores["scored_regime"]) == {"all", "calm", "storm"}


def test_a_month_is_scored_the_same_whatever_came_later(made: Market, forecast: pd.DataFrame) -> None:
    whole = model_performance(forecast, made.continuous, calendar(made), (WEEK,))
    until = made.continuous["date"] <= "2021-11-01"
    early = model_performance(
        forecast[forecast["date"] <= "2021-11-01"], made.continuous[until], calendar(made), (WEEK,)
    )
    same = whole[whole["date"] <= "2021-11-01"].reset_index(drop=True)
    pd.testing.assert_frame_equal(early, same, check_exact=True)
    assert early["date"].max() == pd.Timestamp("2021-11-01")


def test_nothing_to_score_gives_no_row(made: Market, forecast: pd.DataFrame) -> None:
    assert model_performance(forecast.iloc[:0], made.continuous, calendar(made), (WEEK,)).empty
