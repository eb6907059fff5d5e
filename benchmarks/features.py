"""Computing features: every family over the whole history, and four ways in which others would compute the same.

families: 16 markets x 3,800 seeded sessions (weekdays without holidays, so that plain windows of rows are right), time
    per row of the result. `technicals_daily` and `volatility_daily` also against straight pandas (rolling and ewm, a
    market at a time); before that is timed, all columns must agree to 1e-9 of a market's largest value. The percentile
    rank is checked on the same volatilities: a tie broken by the last bit of a running sum moves it by a whole rank.
legacy: a loop over every symbol and day that takes the 370 days before, computes the technicals anew and keeps one row,
    as the system before this one did. Fair: the frames are in memory, where it fetched them each time. Measured on a
    sample spread evenly over all rows, extrapolated, and marked as that.
peer: pyqlib on its own kind of work, 14 rolling factors x 800 instruments x 3,400 days, from its own files, on all
    cores and without its disk caches; the indicator layer of this platform reads the same files, in one process. Both
    end with one frame. pyqlib gives values to half-filled windows and stores single precision: rows behind the warm-up
    are compared, to single precision. It is no dependency: give the interpreter of an environment that has it.
minutes: 5 M one-minute bars to the six intraday horizons with their technicals, against numpy's `reduceat` and the bare
    TA-Lib calls over whole arrays, and against those calls behind the resampling that is used here (sessions, the
    contract of each, labels). The bare calls neither choose contracts, nor guard against holes, nor give a day
    that does not depend on the range asked for; they are the floor. Each in a process of its own. Its peak of resident
    memory holds the input, and one horizon's result at a time on either side. Reads /proc: Linux only.

Times are the process's own CPU seconds, which other work on the machine changes least; in `peer`, which has two
processes on one side, those of the clock. `minutes` gives apart what the kernel takes to hand out fresh memory: on a
virtual machine up to a second a GB, or nothing where the machine has just had that memory.

Example:
    python benchmarks/features.py families legacy minutes
    python benchmarks/features.py peer --peer-python /path/to/environment/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import talib
from recording import best_seconds, markdown, versions

from cbi_dagster.config.biofuel import load_biofuel
from cbi_dagster.config.universe import load_universe
from cbi_dagster.features import indicators
from cbi_dagster.features.biofuel import biofuel_daily
from cbi_dagster.features.fibs import NearTolerance, fib_levels_daily
from cbi_dagster.features.fx import fx_cross_daily, fx_daily
from cbi_dagster.features.golden_zone import golden_zone_1h, golden_zone_daily
from cbi_dagster.features.mes_horizons import mes_daily, mes_intraday
from cbi_dagster.features.pivots import pivot_math_daily
from cbi_dagster.features.technicals import technicals_daily
from cbi_dagster.features.volatility import volatility_daily
from cbi_dagster.market.resample import HORIZON_MINUTES, resampled_bars

# The seeded markets are those of the tests, which are not installed.
sys.path.append(str(Path(__file__).parent.parent))
from cbi_dagster_tests.features.continuous_frames import random_sessions
from cbi_dagster_tests.features.test_technicals import slow_technicals
from cbi_dagster_tests.market.intraday_frames import SESSION_MINUTES, intraday_market

PARTS = ("families", "legacy", "peer", "minutes")
_HISTORY = pd.Timedelta(days=370)
_WARM_UP_DAYS = 900
"""Days after which half-filled windows and the start of an exponential mean of 60 leave no trace."""
_MEANS, _DEVIATIONS, _CORRELATIONS, _EXPONENTIALS = (5, 10, 20, 60), (5, 10, 20, 60), (10, 20, 60), (5, 20, 60)
_PEER = """
import json, os, sys, time
import qlib
from qlib.data import D
files, found, fields, last = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), sys.argv[4]
qlib.init(provider_uri=files, region="us", expression_cache=None, dataset_cache=None, kernels=os.cpu_count())
names = D.list_instruments(D.instruments("all"), start_time="2010-01-01", end_time=last, as_list=True)
times = []
for _ in range(3):
    started = time.perf_counter()
    frame = D.features(names, fields, "2010-01-01", last, freq="day", disk_cache=0)
    times.append(time.perf_counter() - started)
frame.reset_index(drop=True).set_axis([str(n) for n in range(len(fields))], axis=1).to_pickle(found)
print(json.dumps({"seconds": min(times), "version": qlib.__version__}))
"""


def markets(count: int) -> pd.DataFrame:
    """Seeded sessions of all markets of the universe, `count` weekdays each without a hole."""
    frames = []
    for seed, product in enumerate(load_universe().products):
        price = max(product.price_bounds) / 3
        frame = random_sessions(product.root, seed, count, price=price, tick=product.tick_size, holiday_rate=0.0)
        frame["volume"] = np.random.default_rng(seed).integers(1, 90_000, len(frame))
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def pandas_volatility(frame: pd.DataFrame) -> pd.DataFrame:
    """`volatility_daily` of one market without holes, in pandas."""
    returns = np.log(frame["adj_close"]).diff()
    columns = {f"realized_vol_{n}d": returns.rolling(n).std() * 252**0.5 for n in (5, 10, 21, 63)}
    monthly, ranges = columns["realized_vol_21d"], np.log(frame["adj_high"] / frame["adj_low"]) ** 2
    columns["parkinson_vol_21d"] = (ranges.rolling(21).mean() / (4 * np.log(2)) * 252) ** 0.5
    columns["vol_percentile"] = pandas_rank(monthly)
    columns["k_vol"] = (monthly / monthly.rolling(252, min_periods=126).median()).clip(0.5, 3.0)
    return pd.DataFrame(columns)


def pandas_rank(values: pd.Series) -> pd.Series:
    """Share of the known values of the last 252 that are not above the last; from 126 known ones on."""
    return values.rolling(252, min_periods=126).rank(method="max", pct=True)


def by_market(frame: pd.DataFrame, compute: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
    """`compute` of each market's rows, one behind the other in order of the symbols."""
    groups = frame.groupby("symbol", sort=True)
    return pd.concat([compute(group.reset_index(drop=True)) for _, group in groups], ignore_index=True)


def require_agreement(found: pd.DataFrame, expected: pd.DataFrame, symbols: pd.Series, tolerance: float) -> None:
    """Raise AssertionError unless every expected column is found, each market's to `tolerance` of its largest value."""
    for symbol, rows in expected.groupby(symbols.to_numpy()).indices.items():
        for name in expected:
            left, right = found[name].to_numpy()[rows], expected[name].to_numpy()[rows]
            np.testing.assert_array_equal(np.isnan(left), np.isnan(right), f"{symbol} {name}: NULL")
            apart = np.nanmax(np.abs(left - right)) / np.nanmax(np.abs(right))
            if not apart <= tolerance:
                raise AssertionError(f"{symbol} {name} differs by {apart:.1e} of its largest value")


def families(small: bool) -> None:
    """Every family over the whole history, and pandas where there is a straight version."""
    count, repeats = (300, 1) if small else (3_800, 3)
    frame, universe = markets(count), load_universe()
    mes, oil = frame[frame["symbol"] == "MES"], frame[frame["symbol"] == "ZL"]
    decisions = frame.rename(columns={"close": "close_decision", "adj_close": "adj_close_decision"})
    legs = oil[["date", "symbol"]].assign(crush_oil_price=40.0, crush_meal_price=300.0, crush_bean_price=1000.0)
    macro = pd.concat(
        pd.DataFrame({"series_id": series.series_id, "date": oil["date"], "value": oil["close"], "unit": series.unit})
        for series in (load_biofuel().series.sugar, load_biofuel().series.clean_energy)
    )
    pivot_widths = {p.root: p.pivot_tolerance for p in universe.products if p.pivot_tolerance is not None}
    fib_widths = {p.root: NearTolerance(p.near_618, p.near_1618) for p in universe.products}
    hours, sessions = intraday_market(1, pd.DatetimeIndex(mes["date"]), minutes=60)
    hourly = resampled_bars({"ohlcv-1h": hours}, sessions, ["1hr"])["1hr"]
    works: dict[str, Callable[[], pd.DataFrame]] = {
        "volatility": lambda: volatility_daily(frame),
        "pivots": lambda: pivot_math_daily(frame, pivot_widths),
        "fibs": lambda: fib_levels_daily(frame, fib_widths),
        "technicals": lambda: technicals_daily(frame),
        "fx (the currencies)": lambda: fx_daily(frame, universe.quote_units),
        "fx_cross (rows of ZL)": lambda: fx_cross_daily(oil, decisions, universe.quote_units),
        "biofuel (rows of ZL)": lambda: biofuel_daily(frame, decisions, legs, macro, load_biofuel()),
        "MES horizons of days and longer": lambda: mes_daily(mes),
        "golden zone, 1h bars of MES": lambda: golden_zone_1h(hourly),
    }
    golden = golden_zone_1h(hourly)
    works["golden zone, sessions"] = lambda: golden_zone_daily(golden)
    straight = {"volatility": pandas_volatility, "technicals": slow_technicals}
    rows = []
    for name, work in works.items():
        result = work()
        seconds = best_seconds(work, repeats, time.process_time)
        row = [name, f"{len(result):,}", f"{result.shape[1]}", f"{1e3 * seconds:.0f} ms"]
        row.append(f"{1e9 * seconds / len(result):,.0f} ns")
        if name in straight:
            expected = by_market(frame, straight[name])
            if name == "volatility":
                expected["vol_percentile"] = result.groupby("symbol")["realized_vol_21d"].transform(pandas_rank)
            require_agreement(result, expected, result["symbol"], 1e-9)
            theirs = best_seconds(lambda name=name: by_market(frame, straight[name]), repeats, time.process_time)
            row += [f"{1e9 * theirs / len(result):,.0f} ns", f"{theirs / seconds:.1f}x"]
        rows.append([*row, "", ""][:7])
    print(markdown(["family", "rows", "columns", "time", "a row", "pandas, a row", "pandas / here"], rows))


def legacy(small: bool) -> None:
    """The loop over symbols and days on a sample, extrapolated to all, against `technicals_daily` at once."""
    frame = markets(300 if small else 3_800)
    sample = frame.iloc[:: len(frame) // (20 if small else 400)]
    kept = []
    started = time.process_time()
    for symbol, day in zip(sample["symbol"], sample["date"], strict=True):
        history = frame[(frame["symbol"] == symbol) & (frame["date"] <= day) & (frame["date"] > day - _HISTORY)]
        if len(history) > 22:  # it passed over symbols with fewer
            kept.append(slow_technicals(history.reset_index(drop=True)).iloc[-1])
    each = (time.process_time() - started) / len(sample)
    here = best_seconds(lambda: technicals_daily(frame), 3, time.process_time)
    rows = [
        ["loop, measured", f"{len(sample):,}", f"{each * len(sample):.1f} s", ""],
        ["loop, extrapolated", f"{len(frame):,}", f"{each * len(frame):,.0f} s", f"{each * len(frame) / here:,.0f}x"],
        ["here", f"{len(frame):,}", f"{here:.2f} s", "1x"],
    ]
    print(markdown(["technicals of every symbol and day", "rows", "time", "of the time here"], rows))


def factor_fields() -> list[str]:
    """The factors in the peer's language, in the order of `factors`."""
    return [
        *(f"Mean($close, {n})" for n in _MEANS),
        *(f"Std($close, {n})" for n in _DEVIATIONS),
        *(f"Corr($close, $volume, {n})" for n in _CORRELATIONS),
        *(f"EMA($close, {n})" for n in _EXPONENTIALS),
    ]


def factors(files: Path) -> pd.DataFrame:
    """The factors of all instruments in the peer's files, by instrument and day."""
    directories = sorted((files / "features").iterdir())
    columns = {}
    for name in ("close", "volume"):
        arrays = [np.fromfile(path / f"{name}.day.bin", dtype="<f4")[1:] for path in directories]
        starts = np.cumsum([0, *(len(array) for array in arrays[:-1])])
        columns[name] = np.concatenate(arrays).astype(np.float64)
    close, volume = columns["close"], columns["volume"]
    values = [
        *(indicators.sma(close, n, starts) for n in _MEANS),
        *(indicators.standard_deviation(close, n, starts) for n in _DEVIATIONS),
        *(indicators.correlation(close, volume, n, starts) for n in _CORRELATIONS),
        *(indicators.ema(close, n, starts) for n in _EXPONENTIALS),
    ]
    return pd.DataFrame({str(place): column for place, column in enumerate(values)}, copy=False)


def peer_files(files: Path, instruments: int, days: pd.DatetimeIndex) -> None:
    """Seeded prices and volumes in the layout the peer reads: single precision behind the place of the first day."""
    for directory in ("calendars", "instruments"):
        (files / directory).mkdir(parents=True)
    dates = [f"{day:%Y-%m-%d}" for day in days]
    (files / "calendars" / "day.txt").write_text("\n".join(dates) + "\n")
    names = [f"i{number:04}" for number in range(instruments)]
    lines = [f"{name.upper()}\t{dates[0]}\t{dates[-1]}\n" for name in names]
    (files / "instruments" / "all.txt").write_text("".join(lines))
    rng = np.random.default_rng(1)
    for name in names:
        (files / "features" / name).mkdir(parents=True)
        close = 40 * np.exp(np.cumsum(rng.normal(0, 0.015, len(days))))
        for column, values in (("close", close), ("volume", rng.integers(1, 90_000, len(days)))):
            np.append(0, values).astype("<f4").tofile(files / "features" / name / f"{column}.day.bin")


def peer(python: Path | None, small: bool) -> None:
    """14 rolling factors of many instruments, here and in pyqlib."""
    instruments, days = (4, 1_000) if small else (800, 3_400)
    index = pd.bdate_range("2010-01-01", periods=days)
    with tempfile.TemporaryDirectory() as directory:
        files, output = Path(directory, "files"), Path(directory, "factors.pickle")
        peer_files(files, instruments, index)
        seconds = best_seconds(lambda: factors(files), 3)
        rows = [["here, one process", f"{seconds:.2f} s", "1x"]]
        if python is None:
            print("pyqlib is not measured: give --peer-python")
        else:
            command = [str(python), "-c", _PEER, str(files), str(output), json.dumps(factor_fields())]
            done = subprocess.run([*command, f"{index[-1]:%Y-%m-%d}"], check=True, stdout=subprocess.PIPE, text=True)
            theirs = json.loads(done.stdout.splitlines()[-1])
            warm = np.arange(instruments * days) % days >= _WARM_UP_DAYS
            found, expected = factors(files)[warm], pd.read_pickle(output)[warm].astype(np.float64)
            require_agreement(found, expected, pd.Series(np.repeat(np.arange(instruments), days)[warm]), 1e-6)
            rows.append(
                [f"pyqlib {theirs['version']}", f"{theirs['seconds']:.2f} s", f"{theirs['seconds'] / seconds:.1f}x"]
            )
    print(markdown([f"14 factors x {instruments} x {days:,}", "time", "of the time here"], rows))


def bare_technicals(high: np.ndarray, low: np.ndarray, close: np.ndarray, volume: np.ndarray) -> list[object]:
    """The TA-Lib calls behind `mes_intraday`, over whole arrays."""
    returns = np.diff(np.log(close))
    return [
        *(talib.ROCP(close, n) for n in (1, 7, 30)),
        *(talib.STDDEV(returns, n) for n in (5, 10, 20, 30, 60)),
        *(talib.RSI(close, n) for n in (7, 14, 21)),
        talib.MACD(close),
        *(average(close, n) for n in (5, 10, 20, 50, 100, 200) for average in (talib.SMA, talib.EMA)),
        talib.BBANDS(close, 20),
        talib.ATR(high, low, close, 14),
        *(talib.SMA(volume, n) for n in (5, 20)),
    ]


def bare_blocks(
    at: np.ndarray, values: dict[str, np.ndarray], minutes: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Bars of `minutes` of the clock from finer ones that begin at the minutes `at`."""
    starts = np.flatnonzero(np.diff(at // minutes, prepend=-1))
    return at[starts], {
        "high": np.maximum.reduceat(values["high"], starts),
        "low": np.minimum.reduceat(values["low"], starts),
        "close": values["close"][np.append(starts[1:], len(at)) - 1],
        "volume": np.add.reduceat(values["volume"], starts),
    }


_USED = ("high", "low", "close", "volume")


def minutes_in_this_process(side: str, bars: int) -> dict[str, float]:
    """Seconds of the program and of the kernel, and megabytes resident at first and at the peak, for one side."""
    days = pd.bdate_range("2010-06-07", periods=max(2, round(bars / (SESSION_MINUTES * 0.97))))
    frame, sessions = intraday_market(1, days, roll_every=63)
    for name in ("symbol", "root"):
        frame[name] = frame[name].astype("category")
    if side == "bare":
        frame = frame[frame["instrument_id"] == frame["session_instrument_id"]]
        at = frame["ts_event"].astype("int64").to_numpy() // 60_000_000_000
        values = {name: frame[name].to_numpy(np.float64, copy=True) for name in _USED}
    count = len(frame)
    if side == "bare":
        del frame
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = resident("VmRSS")
    started = os.times()
    if side == "bare":
        for length in HORIZON_MINUTES.values():
            at, values = bare_blocks(at, values, length)
            bare_technicals(**values)
    else:
        resampled = resampled_bars({"ohlcv-1m": frame}, sessions)
        del frame
        for horizon in list(resampled):
            blocks = resampled.pop(horizon)
            if side == "here":
                mes_intraday(blocks, horizon)
            else:
                bare_technicals(**{name: blocks[name].to_numpy(np.float64) for name in _USED})
    return {
        "seconds": os.times().user - started.user, "kernel": os.times().system - started.system,
        "bars": count, "before": before, "peak": resident("VmHWM"),
    }  # fmt: skip


def resident(name: str) -> float:
    """Resident memory of this process in units of 1e6 bytes: `VmRSS` now, `VmHWM` at its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024 / 1e6


def minutes(bars: int) -> None:
    """Every side at the scale of minutes, each in its own process; the shortest of three runs, which take turns."""
    rows, first = [], 0.0
    sides = {"bare": "reduceat and bare TA-Lib", "resampled": "resampling as here, bare TA-Lib", "here": "here"}
    runs: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for side in [*sides] * 3:
        command = [sys.executable, __file__, "minutes", "--bars", str(bars), "--only", side]
        runs[side].append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
    for side, title in sides.items():
        best = min(runs[side], key=lambda run: run["seconds"])
        first = first or best["seconds"]
        of_bare = f"{best['seconds'] / first:.1f}x" if first else "-"  # a miniature may take no time that is counted
        sizes = [f"{best['kernel']:.2f} s", *(f"{best[name] / 1e3:.1f} GB" for name in ("before", "peak"))]
        rows.append([title, f"{best['bars']:,}", f"{best['seconds']:.2f} s", of_bare, *sizes])
    header = ["minutes to 6 horizons x technicals", "bars", "time", "of bare", "kernel", "memory before", "peak"]
    print(markdown(header, rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"what to measure: {', '.join(PARTS)}; all without it")
    parser.add_argument("--peer-python", type=Path, help="interpreter of an environment with pyqlib")
    parser.add_argument("--bars", type=int, default=5_000_000, help="one-minute bars of the part minutes")
    parser.add_argument("--small", action="store_true", help="a miniature run, to see that it works")
    parser.add_argument(
        "--only", choices=("bare", "resampled", "here"), help="measure a side of minutes in this process, print JSON"
    )
    options = parser.parse_args()
    parts = options.parts or PARTS
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; choose of {', '.join(PARTS)}")
    if options.only:
        print(json.dumps(minutes_in_this_process(options.only, options.bars)))
        return
    print(versions("numpy", "pandas", "TA-Lib"))
    runs: dict[str, Callable[[], None]] = {
        "families": lambda: families(options.small),
        "legacy": lambda: legacy(options.small),
        "peer": lambda: peer(options.peer_python, options.small),
        "minutes": lambda: minutes(50_000 if options.small else options.bars),
    }
    for part in parts:
        print(f"\n{part}")
        runs[part]()


if __name__ == "__main__":
    main()
