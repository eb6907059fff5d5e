"""Simulated statistics and definitions of the contracts behind the simulated bars, as the exchange publishes them.

Everything follows from the seed, as in `simulate`: with its seed and start the settlements are prices of its bars.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
from databento_dbn import StatType

from cbi_dagster.config.universe import Product, load_universe
from cbi_dagster.market.rolls import MONTH_CODES
from cbi_dagster.market.sessions import business_days, chicago_instants, weekdays
from cbi_dagster.vendors.databento.bar_files import MAPPING_COLUMNS
from cbi_dagster.vendors.databento.writing import definition_records, statistics_records, write_manifest, write_records
from cbi_dagster.vendors.simulate import SIMULATED_DATASET, months_of
from cbi_dagster.vendors.simulated_markets import Market, Paths, generator, market_of, price_paths

CONTRACTS = 3
"""How many delivery months of a product are published at a time."""

_FINAL, _PRELIMINARY = 3, 2
_NEW, _DELETE = 1, 2
# Minutes after midnight in Chicago of the trade date, and of the Sunday after a Friday.
_PRELIMINARY_AT, _FINAL_AT, _OPEN_INTEREST_AT = 13 * 60 + 32, 17 * 60 + 57, 20 * 60 + 10
_SUNDAY_FINAL_AT, _SUNDAY_OPEN_INTEREST_AT = 13 * 60 + 5, 12 * 60 + 30
_SPREAD = 90_000
_YEARS_LISTED = 2


def simulate_statistics(
    out_dir: Path, *, seed: int, start: dt.date, end: dt.date, dataset: str = SIMULATED_DATASET
) -> list[Path]:
    """Write simulated `statistics` and `definition` files for the UTC dates [start, end); returns them, oldest first.

    Monthly files by parent (`ZL.FUT`), and manifest.json. Of each trade date: a preliminary settlement in the
    afternoon, a final one in the evening (of a Friday on Sunday) that differs now and then, open interest and cleared
    volume in the night (of a Friday on Sunday). Each contract is defined anew every weekday at 00:00 UTC. Some records
    are as strange as real ones: spreads, settlements of 0, none or taken back, and final ones of another trade date.
    """
    universe = load_universe()
    markets = {product.root: market_of(product) for product in universe.products}
    paths = price_paths(markets, seed, np.datetime64(start), np.datetime64(end))
    records, definitions = [], []
    for index, product in enumerate(universe.products):
        days = business_days(np.datetime64(start, "D"), np.datetime64(end, "D") - 1, universe.calendar(product.root))
        numbers = _published(product, days)
        records.append(_statistics(product, markets[product.root], paths, days, numbers, seed, index))
        definitions.append(_definitions(product, days, numbers, index))
    statistics, defined = pd.concat(records, ignore_index=True), pd.concat(definitions, ignore_index=True)
    symbols = [f"{product.root}.FUT" for product in universe.products]
    out_dir.mkdir(parents=True, exist_ok=True)
    files = []
    for first, last in months_of(start, end):
        for schema, rows, layout in (
            ("statistics", statistics, statistics_records), ("definition", defined, definition_records)
        ):  # fmt: skip
            own = rows[(rows["ts_recv"] >= first) & (rows["ts_recv"] < last)]
            own = own.sort_values(["ts_recv", "instrument_id"], kind="stable", ignore_index=True)
            mapping = own[["raw_symbol", "instrument_id"]].drop_duplicates().rename(columns={"raw_symbol": "symbol"})
            mapping = mapping.assign(start_date=first.tz_convert(None), end_date=last.tz_convert(None))
            period = f"{first:%Y%m%d}-{last - pd.Timedelta(days=1):%Y%m%d}"
            path = out_dir / f"{dataset.lower().replace('.', '-')}-{period}.{schema}.dbn.zst"
            mapping = mapping[list(MAPPING_COLUMNS)]
            files.append(
                write_records(
                    path,
                    layout(own),
                    dataset=dataset,
                    schema=schema,
                    stype_in="parent",
                    start=first,
                    end=last,
                    mappings=mapping,
                    symbols=symbols,
                )
            )
    write_manifest(out_dir, files)
    return files


def _published(product: Product, days: np.ndarray) -> np.ndarray:
    """The first CONTRACTS delivery months (since 1970) from that of each day on (days x CONTRACTS)."""
    months = days.astype("datetime64[M]").astype(np.int64)
    every = np.arange(months.min(initial=0), months.max(initial=0) + 24)
    delivery = every[np.isin(np.array(list(MONTH_CODES))[every % 12], list(product.months))]
    numbers: np.ndarray = delivery[np.searchsorted(delivery, months)[:, None] + np.arange(CONTRACTS)]
    return numbers


def _symbols(product: Product, numbers: np.ndarray) -> list[str]:
    return [f"{product.root}{MONTH_CODES[number % 12]}{(1970 + number // 12) % 10}" for number in numbers.tolist()]


def _statistics(
    product: Product, market: Market, paths: Paths, days: np.ndarray, numbers: np.ndarray, seed: int, index: int
) -> pd.DataFrame:
    """Records of a product's trade dates, with the `raw_symbol` of each."""
    settled = _settlements(product, market, paths, days, numbers, seed)
    revision = generator(seed, "revision", product.root).integers(0, 20, numbers.shape)
    tick = product.tick_size
    preliminary = settled + np.select([revision == 0, revision == 1], [tick, -tick], 0.0)
    noise = generator(seed, "open interest", product.root).normal(0, 0.03, (*numbers.shape, 2))
    rank = np.broadcast_to(np.arange(CONTRACTS), numbers.shape)
    season = 1 + 0.3 * np.sin(days.astype(np.int64) / 40)[:, None]
    interest = np.rint(20 * market.hourly_volume * season * 0.6**rank * np.exp(noise[..., 0])).astype(np.int64)
    volume = np.rint(12 * market.hourly_volume * 0.3**rank * np.exp(noise[..., 1])).astype(np.int64)
    friday = weekdays(days) == 4
    afterwards = days + np.where(friday, 2, 0)
    at = {
        "preliminary": chicago_instants(days, _PRELIMINARY_AT),
        "final": chicago_instants(afterwards, np.where(friday, _SUNDAY_FINAL_AT, _FINAL_AT)),
        "open interest": chicago_instants(afterwards, np.where(friday, _SUNDAY_OPEN_INTEREST_AT, _OPEN_INTEREST_AT)),
    }
    size = numbers.size
    contracts = pd.DataFrame(
        {
            "instrument_id": 100_000 * (index + 1) + numbers.ravel(),
            "raw_symbol": _symbols(product, numbers.ravel()),
            "ref_date": np.repeat(days.astype("datetime64[ns]"), CONTRACTS),
        }
    )

    def stated(when: str, kind: StatType, values: np.ndarray, flags: int = 255) -> pd.DataFrame:
        priced = kind == StatType.SETTLEMENT_PRICE
        return contracts.assign(
            ts_recv=pd.DatetimeIndex(np.repeat(at[when], CONTRACTS), tz="UTC"),
            stat_type=int(kind),
            price=values.ravel() if priced else np.full(size, np.nan),
            quantity=pd.array([pd.NA] * size if priced else values.ravel(), dtype="Int64"),
            stat_flags=flags,
            update_action=_NEW,
        )

    rows = pd.concat(
        [
            stated("preliminary", StatType.SETTLEMENT_PRICE, preliminary, _PRELIMINARY),
            stated("final", StatType.SETTLEMENT_PRICE, settled, _FINAL),
            stated("open interest", StatType.OPEN_INTEREST, interest),
            stated("open interest", StatType.CLEARED_VOLUME, volume),
        ],
        ignore_index=True,
    )
    return pd.concat([rows, *_strange(rows.iloc[size : 2 * size], seed, product.root)], ignore_index=True)


def _settlements(
    product: Product, market: Market, paths: Paths, days: np.ndarray, numbers: np.ndarray, seed: int
) -> np.ndarray:
    """The price of each contract at 13:00 Chicago, where an hour of bars ends."""
    gaps = {
        number: generator(seed, "gap", market.spot, str(number)).normal(0, market.contract_gap)
        for number in np.unique(numbers).tolist()
    }
    path = paths.log_price[market.spot]
    level = path[np.minimum(paths.at(chicago_instants(days, 13 * 60)), len(path) - 1)]
    gap = np.vectorize(gaps.__getitem__, otypes=[float])(numbers)
    low, high = product.price_bounds
    ticks = np.rint(np.exp(level[:, None] + gap) / product.tick_size)
    ticks = np.clip(
        ticks,
        np.ceil(max(low * 1.02, product.tick_size) / product.tick_size),
        np.floor(high * 0.98 / product.tick_size),
    )
    prices: np.ndarray = np.rint(ticks * product.tick_size * 1e9) / 1e9
    return prices


def _strange(final: pd.DataFrame, seed: int, root: str) -> list[pd.DataFrame]:
    """What is strange about some trade dates of a product: records beside its `final` settlements."""
    near, next_, far = (final.iloc[rank::CONTRACTS].reset_index(drop=True) for rank in range(CONTRACTS))
    # Drawn in order of time, so that a longer period begins with the shorter one's.
    chance = generator(seed, "strange", root).random(len(near))
    minute = pd.Timedelta(minutes=1)

    def on_days(rows: pd.DataFrame, low: float, high: float) -> pd.DataFrame:
        own = rows[(chance >= low) & (chance < high)]
        return own.assign(ts_recv=own["ts_recv"] + minute)

    taken_back, spread = on_days(near, 0.04, 0.06), on_days(near, 0.09, 0.12)
    day_before = near.assign(ref_date=near["ref_date"].shift()).iloc[1:]
    return [
        on_days(far, 0.0, 0.02).assign(price=0.0),
        on_days(far, 0.02, 0.04).assign(price=np.nan),
        taken_back.assign(update_action=_DELETE),
        taken_back.assign(ts_recv=taken_back["ts_recv"] + minute),
        # The trade date before once more, with the price of this one: too late.
        on_days(day_before.reindex(near.index), 0.06, 0.09).dropna(subset=["ref_date"]).astype(near.dtypes),
        spread.assign(
            raw_symbol=spread["raw_symbol"] + "-" + next_["raw_symbol"][spread.index],
            instrument_id=spread["instrument_id"] + _SPREAD,
            price=0.25,
        ),
    ]


def _definitions(product: Product, days: np.ndarray, numbers: np.ndarray, index: int) -> pd.DataFrame:
    count = numbers.size
    year, month = 1970 + numbers.ravel() // 12, numbers.ravel() % 12 + 1
    delivery = numbers.ravel().astype("datetime64[M]")
    expiration = np.busday_offset(delivery.astype("datetime64[D]") + 14, 0, roll="backward")
    activation = np.busday_offset((delivery - 12 * _YEARS_LISTED).astype("datetime64[D]"), 0, roll="forward")
    return pd.DataFrame(
        {
            "ts_recv": pd.DatetimeIndex(np.repeat(days.astype("datetime64[ns]"), CONTRACTS), tz="UTC"),
            "instrument_id": 100_000 * (index + 1) + numbers.ravel(),
            "raw_symbol": _symbols(product, numbers.ravel()),
            "instrument_class": "F",
            "asset": product.root,
            "activation": pd.DatetimeIndex(chicago_instants(activation, 9 * 60), tz="UTC"),
            "expiration": pd.DatetimeIndex(chicago_instants(expiration, 12 * 60), tz="UTC"),
            "currency": product.currency,
            "exchange": {"CBOT": "XCBT", "CME": "XCME", "NYMEX": "XNYM", "COMEX": "XCEC"}.get(product.venue, "XCME"),
            "unit_of_measure": "CTRCT",
            "min_price_increment": np.full(count, product.tick_size),
            "unit_of_measure_qty": np.full(count, product.point_value),
            "maturity_year": year,
            "maturity_month": month,
        }
    )
