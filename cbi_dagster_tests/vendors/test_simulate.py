"""A simulated delivery is a genuine vendor delivery of plausible markets, and the same one each time."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import databento
import numpy as np
import pandas as pd
import pytest

from cbi_dagster.config.universe import load_universe
from cbi_dagster.market.sessions import session_bounds
from cbi_dagster.vendors.databento.bar_files import PRICES, BarFile
from cbi_dagster.vendors.databento.bars import Screened, merge_bars, merge_mappings, screen_bars
from cbi_dagster.vendors.databento.landed_bars import Bars, decode_bars
from cbi_dagster.vendors.delivery import open_delivery
from cbi_dagster.vendors.files import content_of
from cbi_dagster.vendors.simulate import SIMULATED_DATASET, simulate_delivery

UNIVERSE = load_universe()
FROM, TO, MINUTES_FROM = dt.date(2023, 10, 16), dt.date(2024, 4, 10), dt.date(2024, 3, 1)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("deliveries") / "year" / "delivery"
    simulate_delivery(path, seed=1, start=FROM, end=TO, minute_start=MINUTES_FROM)
    return path


@pytest.fixture(scope="module")
def files(directory: Path) -> dict[str, BarFile]:
    """What each file of the delivery says, by its name."""
    with open_delivery(directory, [Bars(UNIVERSE)]) as opened:
        assert opened.ignored == ()
        assert all(file.sha256 for file in opened.files)
        return {file.name: decode_bars(content_of(file)) for file in opened.files}


@pytest.fixture(scope="module")
def screened(files: dict[str, BarFile]) -> list[Screened]:
    now = pd.Timestamp.now("UTC")
    return [screen_bars(file.bars, file.schema, UNIVERSE, (file.start, file.end), now) for file in files.values()]


def merged(files: dict[str, BarFile], screened: list[Screened], schema: str) -> pd.DataFrame:
    return merge_bars(
        [result.bars for file, result in zip(files.values(), screened, strict=True) if file.schema == schema]
    )


@pytest.fixture(scope="module")
def hours(files: dict[str, BarFile], screened: list[Screened]) -> pd.DataFrame:
    return merged(files, screened, "ohlcv-1h")


@pytest.fixture(scope="module")
def minutes(files: dict[str, BarFile], screened: list[Screened]) -> pd.DataFrame:
    return merged(files, screened, "ohlcv-1m")


def test_the_files_are_monthly_and_cover_the_period_without_a_gap(files: dict[str, BarFile]) -> None:
    assert [name for name, file in files.items() if file.schema == "ohlcv-1m"] == [
        "sim-demo-20240301-20240331.ohlcv-1m.dbn.zst",
        "sim-demo-20240401-20240409.ohlcv-1m.dbn.zst",
    ]
    for schema, first in (("ohlcv-1h", FROM), ("ohlcv-1m", MINUTES_FROM)):
        own = [file for file in files.values() if file.schema == schema]
        assert [file.start for file in own] == [pd.Timestamp(first, tz="UTC"), *(file.end for file in own[:-1])]
        assert own[-1].end == pd.Timestamp(TO, tz="UTC")
        for file in own:
            stated = file.mapping.groupby("symbol", observed=True).agg(
                first=("start_date", "min"), end=("end_date", "max")
            )
            assert set(stated["first"]) == {file.start.tz_convert(None)}
            assert set(stated["end"]) == {file.end.tz_convert(None)}
    assert {file.dataset for file in files.values()} == {SIMULATED_DATASET}
    assert set(next(iter(files.values())).symbols) == {product.continuous_symbol for product in UNIVERSE.products}


def test_the_vendors_own_reader_decodes_the_files(directory: Path, files: dict[str, BarFile]) -> None:
    for name, file in files.items():
        theirs = databento.DBNStore.from_file(directory / name).to_df().reset_index()
        assert (theirs["symbol"].to_numpy() == file.bars["symbol"].astype(str).to_numpy()).all()
        assert np.array_equal(theirs["close"].to_numpy(), file.bars["close"].to_numpy(), equal_nan=True)


def test_the_same_seed_gives_the_same_bytes_and_a_later_end_repeats_the_earlier_months(
    tmp_path: Path, directory: Path
) -> None:
    again = simulate_delivery(tmp_path / "a", seed=1, start=FROM, end=TO, minute_start=MINUTES_FROM)
    assert len(again) == 9
    assert all((directory / path.name).read_bytes() == path.read_bytes() for path in again)
    assert (directory / "manifest.json").read_bytes() == (tmp_path / "a" / "manifest.json").read_bytes()
    shorter = simulate_delivery(tmp_path / "b", seed=1, start=FROM, end=dt.date(2024, 4, 1), minute_start=MINUTES_FROM)
    assert len(shorter) == 7
    assert all((directory / path.name).read_bytes() == path.read_bytes() for path in shorter)
    other = simulate_delivery(tmp_path / "c", seed=2, start=FROM, end=dt.date(2023, 11, 1))
    assert (directory / other[0].name).read_bytes() != other[0].read_bytes()


def test_every_fault_is_found_and_nothing_else_is(screened: list[Screened]) -> None:
    rejected = pd.concat([result.rejected.astype({"root": str}) for result in screened if len(result.rejected)])
    assert sorted(rejected["reason"]) == [
        "duplicate_bar", "duplicate_bar", "non_positive_price", "ohlc_order", "undefined_price", "weekend_trade_date",
    ]  # fmt: skip
    assert not rejected["root"].isin(["ZL", "MES"]).any()


def test_prices_are_on_the_tick_and_inside_the_products_bounds(hours: pd.DataFrame, minutes: pd.DataFrame) -> None:
    for bars in (hours, minutes):
        for root, own in bars.groupby("root", observed=True):
            product = UNIVERSE.product(str(root))
            prices = own[list(PRICES)].to_numpy()
            ticks = prices / product.tick_size
            assert np.abs(ticks - np.rint(ticks)).max() < 1e-6
            assert prices.min() >= product.price_bounds[0]
            assert prices.max() <= product.price_bounds[1]
            assert (prices == np.array([float(f"{price:.9f}") for price in prices.ravel()]).reshape(prices.shape)).all()


def test_bars_reach_beyond_their_open_and_close(hours: pd.DataFrame, minutes: pd.DataFrame) -> None:
    for bars in (hours, minutes):
        body_high, body_low = bars[["open", "close"]].max(axis=1), bars[["open", "close"]].min(axis=1)
        assert (bars["high"] > body_high).mean() > 0.5
        assert (bars["low"] < body_low).mean() > 0.5


def test_bars_lie_in_the_sessions_of_the_exchange(hours: pd.DataFrame, minutes: pd.DataFrame) -> None:
    for bars, unit in ((hours, "h"), (minutes, "min")):
        for root, own in bars.groupby("root", observed=True):
            opens, closes = session_bounds(str(root), own["date"].to_numpy().astype("datetime64[D]"), UNIVERSE)
            stamps = own["ts_event"].dt.tz_convert(None)
            assert (stamps >= opens).all()
            assert (stamps < pd.DatetimeIndex(closes)).all()
            assert (own["ts_event"] == own["ts_event"].dt.floor(unit)).all()
    dates = {str(root): set(own["date"].dt.date) for root, own in hours.groupby("root", observed=True)}
    thanksgiving, christmas, good_friday = dt.date(2023, 11, 23), dt.date(2023, 12, 25), dt.date(2024, 3, 29)
    assert thanksgiving not in dates["ZL"]
    assert thanksgiving not in dates["ES"]  # its bars are of the day after
    assert all(christmas not in of_root for of_root in dates.values())
    assert good_friday not in dates["CL"]
    # Daylight saving: the first hour of the grains moves by one against UTC between winter and summer.
    first = hours[hours["root"] == "ZL"].groupby("date")["ts_event"].min().dt.hour
    assert first[pd.Timestamp("2024-01-10")] == 1
    assert first[pd.Timestamp("2024-04-03")] == 0
    day_after = hours[(hours["root"] == "ES") & (hours["date"] == pd.Timestamp("2023-11-24"))]["ts_event"]
    assert day_after.min() == pd.Timestamp("2023-11-22 23:00", tz="UTC")
    pause = day_after.reset_index(drop=True).diff().idxmax()
    assert day_after.iloc[pause - 1] == pd.Timestamp("2023-11-23 17:00", tz="UTC")  # closed at noon in Chicago
    assert day_after.iloc[pause] == pd.Timestamp("2023-11-23 23:00", tz="UTC")
    assert day_after.max() == pd.Timestamp("2023-11-24 18:00", tz="UTC")  # closed at 12:15
    in_pause = minutes[minutes["root"] == "ZL"]["ts_event"].dt.tz_convert("America/Chicago")
    clock = in_pause.dt.hour * 60 + in_pause.dt.minute
    assert not ((clock >= 465) & (clock < 510)).any()


def test_hours_are_the_sums_of_their_minutes(hours: pd.DataFrame, minutes: pd.DataFrame) -> None:
    made = (
        minutes.assign(ts_event=minutes["ts_event"].dt.floor("h"))
        .groupby(["symbol", "ts_event"], observed=True)
        .agg(
            open=("open", "first"),
            high=("high", "max"),
            low=("low", "min"),
            close=("close", "last"),
            volume=("volume", "sum"),
            instrument_id=("instrument_id", "first"),
        )
    )
    own = hours[hours["root"].isin(["ZL", "MES"]) & (hours["ts_event"] >= pd.Timestamp(MINUTES_FROM, tz="UTC"))]
    expected = own.astype({"symbol": str}).set_index(["symbol", "ts_event"])[list(made.columns)].sort_index()
    made.index = made.index.set_levels(made.index.levels[0].astype(str), level=0)
    pd.testing.assert_frame_equal(made.sort_index(), expected, check_exact=True)
    assert len(made) > 500


def test_contracts_roll_at_midnight_utc_and_prices_jump_with_them(
    files: dict[str, BarFile], hours: pd.DataFrame
) -> None:
    mapping = merge_mappings([file.mapping for file in files.values()])
    for root in ("ZL", "MES", "CL", "6E"):
        own = mapping[mapping["symbol"] == f"{root}.v.0"]
        assert len(own) >= 2
        assert (own["end_date"].to_numpy()[:-1] == own["start_date"].to_numpy()[1:]).all()
    mes = hours[hours["root"] == "MES"].reset_index(drop=True)
    of_session = mes.groupby("date")["instrument_id"].agg(["nunique", "first", "last"])
    rolls = of_session[of_session["nunique"] > 1]
    assert len(rolls) == 2  # the evening hours before midnight UTC are still of the old contract
    switch = mes.index[(mes["instrument_id"] != mes["instrument_id"].shift()) & (mes.index > 0)]
    assert (mes.loc[switch, "ts_event"].dt.hour == 0).all()
    jump = np.abs(np.log(mes["open"] / mes["close"].shift()))
    assert jump[switch].min() > 5 * jump.median()


def test_markets_that_share_an_underlying_move_together(hours: pd.DataFrame) -> None:
    closes = hours.astype({"root": str}).groupby(["root", "date"])["close"].last().unstack("root")
    correlation = np.log(closes).diff().corr()
    assert correlation.loc["ES", "MES"] > 0.99
    assert correlation.loc["ZL", "ZS"] > 0.3
    assert abs(correlation.loc["ZL", "6E"]) < 0.3


def test_dates_out_of_order_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="in the order"):
        simulate_delivery(tmp_path, seed=1, start=TO, end=FROM)
