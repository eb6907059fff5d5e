"""Pictures of tables: frames in, figures out. Every frame is of one symbol and in order of date.

What a picture needs is checked by its caller: there is something to draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cbi_dagster.catalog.columns.fibs import EXTENSIONS, RETRACEMENTS
from cbi_dagster.catalog.columns.pivots import PERIOD_LEVELS
from cbi_dagster.catalog.columns.sessions import WITHOUT_LABELS
from cbi_dagster.matrix.drift import LARGE, MODERATE
from cbi_dagster.reports.drawing import (
    BLUE,
    GREEN,
    GRID,
    INK,
    MUTED,
    ORANGE,
    RED,
    VIOLET,
    apart,
    canvas,
    dated,
    picture,
    tint,
)

WIDE = 11.0
SESSIONS_SHOWN = 90
_NAMED_SESSIONS = 10
"""So many have room for the name of their contract."""
_ERROR_SHOWN = 2.5
"""Errors of the first months, over few forecasts, are cut there."""


@picture
def price(sessions: pd.DataFrame, pivots: pd.Series | None, fibs: pd.Series | None) -> Figure:
    """Sessions up to the last one, in the price of its contract, with contracts, rolls, pivots and Fibonacci levels.

    `sessions`: rows of the continuous series; `pivots` and `fibs`: the rows of the last session, None without one.
    """
    shown = sessions.tail(SESSIONS_SHOWN)
    # The levels of the last row are quoted in its contract: so are all sessions here.
    factor = shown["adj_factor"].iloc[-1]
    prefix, scale = ("adj_", factor) if factor == factor else ("", 1.0)
    opened, high, low, close = (shown[prefix + name].to_numpy() / scale for name in ("open", "high", "low", "close"))
    figure, axes = canvas(WIDE, 5.6, 2, heights=(5, 1), share_x=True)
    chart, volume = axes[:, 0]
    _candles(chart, opened, high, low, close)
    dates = shown["date"].to_numpy().astype("datetime64[D]")
    end, margin = len(shown) - 1, max(6, len(shown) * 0.09)
    _contracts(chart, shown)
    labels: list[tuple[float, str, str]] = []
    bottom, top = np.nanmin(low), np.nanmax(high)
    room = 0.06 * max(top - bottom, 0.001 * abs(top))
    if pivots is not None:
        for period, style in (("", "-"), ("W", "--"), ("M", ":")):
            for level in PERIOD_LEVELS if not period else ("P",):
                value = pivots[period + level]
                if value == value and bottom - room <= value <= top + room:
                    colour = MUTED if level == "P" else (RED if level[0] == "R" else GREEN)
                    chart.plot([end - 6, end + 1.5], [value] * 2, style, color=colour, linewidth=1.1)
                    labels.append((value, f"{period}{level} {value:,.4g}", colour))
    if fibs is not None and pd.notna(fibs["swing_low_price"]):
        ends = [(fibs[f"swing_date_{name}"], fibs[f"swing_{name}_price"]) for name in ("low", "high")]
        ends.sort()
        at = [int(np.searchsorted(dates, np.datetime64(day, "D"))) for day, _ in ends]
        if np.datetime64(ends[0][0], "D") >= dates[0]:
            chart.plot(at, [value for _, value in ends], color=VIOLET, linewidth=1.4)
        for name in (*(f"retrace_{key}" for key in RETRACEMENTS), *(f"ext_{key}" for key in EXTENSIONS)):
            value = fibs[name]
            if value == value and bottom - room <= value <= top + room:
                kind, _, key = name.partition("_")
                share = 100 * (RETRACEMENTS[key] if kind == "retrace" else 1 + EXTENSIONS[key])
                chart.plot([at[1], end + 1.5], [value] * 2, color=VIOLET, linewidth=0.7, alpha=0.7)
                labels.append((value, f"{share:.4g} % {value:,.4g}", VIOLET))
    chart.set_ylim(bottom - 2.4 * room, top + room)
    labels.sort()
    places = apart([value for value, _, _ in labels], 0.036 * (top - bottom + 3.4 * room))
    for (value, text, colour), place in zip(labels, places, strict=True):
        chart.plot([end + 1.5, end + 2.6], [value, place], color=colour, linewidth=0.5)
        chart.text(end + 2.8, place, text, color=colour, va="center", fontsize=7.5)
    chart.set_xlim(-1, end + 2.8 + margin)
    quoted = f"in the price of {contract_of(shown.iloc[-1])}" if prefix else "each as quoted: no factor is known"
    chart.set_title(f"{len(shown)} sessions to {dates[-1]}, {quoted}")
    volume.bar(np.arange(len(shown)), shown["volume"].to_numpy(np.float64), color=MUTED, width=0.7)
    volume.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    volume.set_title("Volume")
    dated(volume, dates)
    return figure


def contract_of(session: pd.Series) -> str:
    """The contract of a session by its name, else by the vendor's number of it."""
    return str(session["contract"]) if pd.notna(session["contract"]) else f"instrument {session['instrument_id']}"


def _candles(axes: Axes, opened: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray) -> None:
    at = np.arange(len(close))
    for up, colour in ((True, BLUE), (False, ORANGE)):
        mine = (close >= opened) == up
        axes.vlines(at[mine], low[mine], high[mine], color=colour, linewidth=0.8)
        axes.vlines(at[mine], opened[mine], close[mine], color=colour, linewidth=3.2)


def _contracts(axes: Axes, shown: pd.DataFrame) -> None:
    """Which contract is front, and where it changes."""
    starts = [0, *np.flatnonzero(shown["is_roll"].to_numpy(bool)[1:]) + 1]
    for number, start in enumerate(starts):
        if start:
            axes.axvline(start - 0.5, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        stop = starts[number + 1] if number + 1 < len(starts) else len(shown)
        if stop - start >= _NAMED_SESSIONS:
            axes.text(
                start + 0.2,
                0.015,
                contract_of(shown.iloc[start]),
                transform=axes.get_xaxis_transform(),
                color=INK,
                fontsize=8,
            )


@picture
def history(sessions: pd.DataFrame) -> Figure:
    """All sessions: the close as quoted and as adjusted, the rolls, and the sessions that give no label."""
    figure, axes = canvas(WIDE, 2.9)
    chart = axes[0, 0]
    dates = sessions["date"].to_numpy()
    chart.set_title(f"{sessions['symbol'].iloc[-1]} to {sessions['date'].iloc[-1]:%Y-%m-%d}")
    chart.plot(dates, sessions["close"].to_numpy(), color=MUTED, linewidth=0.9, label="close as quoted")
    chart.plot(dates, sessions["adj_close"].to_numpy(), color=BLUE, linewidth=1.1, label="close, adjusted by ratio")
    for mask, colour, label, height in (
        (sessions["is_roll"].to_numpy(bool), INK, "roll", 0.02),
        (sessions["session_quality"].isin(WITHOUT_LABELS).to_numpy(bool), RED, ", ".join(WITHOUT_LABELS), 0.07),
    ):
        if mask.any():
            places = np.full(mask.sum(), height)
            chart.plot(
                dates[mask], places, "|", color=colour, markersize=6, transform=chart.get_xaxis_transform(), label=label
            )
    chart.legend(loc="upper left", ncols=4)
    chart.margins(x=0.01, y=0.18)
    return figure


@picture
def forecasts(rows: pd.DataFrame) -> Figure:
    """Forecasts of one date by horizon, in the order of `rows`: P10 … P90 as a bar, P50 as a point."""
    figure, axes = canvas(WIDE, 2.6)
    chart = axes[0, 0]
    horizons = list(dict.fromkeys(rows["target_horizon"].astype(str)))
    for number, (model, colour) in enumerate((("quantile_forest", BLUE), ("past_returns", MUTED))):
        own = rows[rows["model"] == model]
        at = np.array([horizons.index(name) for name in own["target_horizon"].astype(str)]) + 0.16 * (2 * number - 1)
        chart.vlines(at, own["forecast_p10"], own["forecast_p90"], color=colour, linewidth=5, alpha=0.45)
        chart.plot(at, own["forecast_p50"], "o", color=colour, markersize=5, label=f"{model}: P10 … P50 … P90")
    chart.axhline(0, color=INK, linewidth=0.8, label="no_change")
    chart.set_xticks(range(len(horizons)), horizons)
    chart.yaxis.set_major_formatter(_percent)
    chart.legend(loc="upper left", ncols=3)
    chart.margins(x=0.1, y=0.25)
    return figure


@picture
def actions(rows: pd.DataFrame) -> Figure:
    """Policy actions of one date: how probable, and between which prices soybean oil is expected if they come."""
    rows = rows.sort_values("probability", kind="stable", na_position="first")
    figure, axes = canvas(WIDE, 0.9 + 0.34 * len(rows), 1, 2, share_y=True)
    chances, prices = axes[0]
    at = np.arange(len(rows))
    probability = rows["probability"].to_numpy(np.float64)
    chances.barh(at, np.nan_to_num(probability), color=BLUE, height=0.55)
    for y, value, support in zip(at, probability, rows["probability_support"].astype(str), strict=True):
        said = "unknown: no source covers the day" if value != value else f"{value:.0%} (past: {support})"
        chances.text(np.nan_to_num(value) + 0.01, y, said, va="center", fontsize=8)
    chances.set_yticks(at, [name.replace("_", " ") for name in rows["action"].astype(str)])
    chances.set_xlim(0, 1)
    chances.xaxis.set_major_formatter("{x:.0%}")
    horizon = rows["impact_hours"].dropna()
    chances.set_title("Probability by the rule (what the past says of it)")
    prices.hlines(at, rows["best_price"], rows["worst_price"], color=VIOLET, linewidth=5, alpha=0.45)
    prices.plot(rows["expected_price"], at, "o", color=VIOLET, markersize=5)
    prices.axvline(rows["zl_price"].max(), color=INK, linewidth=0.8)
    span = f" within {horizon.min():.0f} … {horizon.max():.0f} h" if len(horizon) else ""
    prices.set_title(f"If it comes: soybean oil{span}, USc/lb (line: now)")
    return figure


@picture
def policy(rows: pd.DataFrame) -> Figure:
    """Policy features of a year: score, sentiment, mentions, and the share of each day that is covered."""
    figure, axes = canvas(WIDE, 4.2, 4, heights=(3, 3, 2, 1), share_x=True)
    score, sentiment, mentions, covered = axes[:, 0]
    at = np.arange(len(rows))
    values = rows["trump_score_signed"].to_numpy(np.float64, na_value=np.nan)
    score.bar(at, np.nan_to_num(values), color=[BLUE if value >= 0 else ORANGE for value in values], width=0.9)
    score.set_title("Signed policy score of the day")
    sentiment.plot(at, rows["trump_sentiment_7d"].to_numpy(np.float64), color=VIOLET, linewidth=1.2)
    sentiment.axhline(0, color=MUTED, linewidth=0.6)
    sentiment.set_title("Sentiment of 7 days (-1 … 1)")
    mentions.bar(at, rows["trump_mentions"].to_numpy(np.float64, na_value=np.nan), color=MUTED, width=0.9)
    mentions.set_title("Events that name Trump or are his own")
    share = rows["policy_coverage_share"].to_numpy(np.float64)
    covered.imshow(tint(GREEN, share[None]), aspect="auto", extent=(-0.5, len(rows) - 0.5, 0, 1))
    covered.set_yticks([])
    covered.grid(visible=False)
    covered.set_title("Share of the day whose text is known (blank: unknown, and so is all above)")
    dated(covered, rows["date"].to_numpy())
    return figure


@picture
def d4_proxy(rows: pd.DataFrame) -> Figure:
    """The D4 proxy beside what it is made of: `date`, `oil`, `heating_oil`, `credit_less_cost` (USD/gal), `d4`."""
    figure, axes = canvas(WIDE, 4.2, 2, heights=(3, 2), share_x=True)
    legs, proxy = axes[:, 0]
    dates = rows["date"].to_numpy()
    for name, colour, label in (
        ("oil", BLUE, "soybean oil in a gallon of biodiesel"),
        ("heating_oil", ORANGE, "heating oil"),
        ("credit_less_cost", MUTED, "blender credit less conversion cost"),
    ):
        legs.plot(dates, rows[name].to_numpy(), color=colour, linewidth=1.1, label=label)
    legs.set_title("Legs, USD/gal")
    legs.legend(loc="upper left", ncols=3)
    legs.margins(x=0.01, y=0.2)
    proxy.fill_between(dates, rows["d4"].to_numpy(), color=VIOLET, alpha=0.35, linewidth=0)
    proxy.plot(dates, rows["d4"].to_numpy(), color=VIOLET, linewidth=1.1)
    proxy.set_title("D4 RIN proxy, USD/RIN: what lets a producer break even; no market price")
    return figure


@picture
def targets(rows_by_horizon: Mapping[str, pd.DataFrame]) -> Figure:
    """Returns that came, by regime and horizon: median, middle half, and 10 … 90 %. Frames hold `target`, `regime`."""
    order = list(dict.fromkeys(str(name) for rows in rows_by_horizon.values() for name in rows["regime"].unique()))
    figure, axes = canvas(WIDE, 1.0 + 0.27 * len(order), 1, len(rows_by_horizon), share_y=True)
    for chart, (horizon, rows) in zip(axes[0], rows_by_horizon.items(), strict=True):
        groups = rows.groupby("regime", observed=True)["target"]
        y = [len(order) - 1 - order.index(str(regime)) for regime, _ in groups]
        spread = np.array([np.quantile(own, (0.1, 0.25, 0.5, 0.75, 0.9)) for _, own in groups])
        tenth, quarter, middle, three, nine = spread.T
        chart.hlines(y, tenth, nine, color=BLUE, linewidth=1.2)
        chart.hlines(y, quarter, three, color=BLUE, linewidth=6, alpha=0.45)
        chart.plot(middle, y, "o", color=BLUE, markersize=4)
        chart.axvline(0, color=MUTED, linewidth=0.6)
        chart.set_title(f"{horizon} ({len(rows):,} rows)")
        chart.xaxis.set_major_formatter(_percent)
        chart.locator_params(axis="x", nbins=4)
    axes[0, 0].set_yticks(range(len(order)), [name.replace("_", " ") for name in reversed(order)])
    return figure


@picture
def record(rows: pd.DataFrame) -> Figure:
    """How the baseline fared over time, all regimes: its error over that of no change, and what its intervals held."""
    horizons = list(dict.fromkeys(rows["target_horizon"].astype(str)))
    figure, axes = canvas(WIDE, 3.6, 2, len(horizons), share_x=True, share_y="row")
    for column, horizon in enumerate(horizons):
        for model, colour in (("quantile_forest", BLUE), ("past_returns", MUTED)):
            own = rows[(rows["target_horizon"] == horizon) & (rows["model"] == model)]
            for row, name in enumerate(("error_over_no_change", "interval_coverage")):
                axes[row, column].plot(own["date"].to_numpy(), own[name], color=colour, linewidth=1.2, label=model)
        axes[0, column].axhline(1, color=INK, linewidth=0.8)
        axes[1, column].axhline(0.8, color=INK, linewidth=0.8)
        axes[0, column].set_title(horizon)
        axes[0, column].set_ylim(0, _ERROR_SHOWN)
        axes[1, column].set_ylim(-0.03, 1.03)
        axes[1, column].yaxis.set_major_formatter("{x:.0%}")
        axes[1, column].xaxis.set_major_locator(MaxNLocator(3))
        axes[1, column].xaxis.set_major_formatter(lambda day, _: str(np.datetime64(int(day), "D"))[:7])
    axes[0, 0].set_ylabel("error over no_change")
    axes[1, 0].set_ylabel("within P10 … P90")
    axes[0, 0].legend(loc="best", fontsize=7)
    return figure


@picture
def strips(shares: pd.DataFrame, colour: str, notes: Sequence[str] = (), title: str = "") -> Figure:
    """A strip per row of `shares` (0 to 1, NaN: nothing) over its columns, which are dates; `notes` at the right."""
    figure, axes = canvas(WIDE, 0.7 + 0.185 * len(shares))
    chart = axes[0, 0]
    chart.imshow(tint(colour, shares.to_numpy(np.float64)), aspect="auto", interpolation="nearest")
    chart.set_title(title)
    chart.set_yticks(range(len(shares)), [str(name) for name in shares.index], fontsize=7.5)
    for y, note in enumerate(notes):
        chart.text(shares.shape[1] - 0.3, y, f" {note}", va="center", fontsize=7, color=MUTED)
    chart.hlines(np.arange(len(shares)) + 0.5, -0.5, shares.shape[1] - 0.5, color=GRID, linewidth=0.4)
    chart.grid(visible=False)
    dated(chart, shares.columns.to_numpy())
    return figure


@picture
def bars(values: pd.Series, notes: Sequence[str], limits: Sequence[float], colour: str, form: str) -> Figure:
    """A bar per entry of `values`, the first on top, with `notes` beside them and `limits` as lines."""
    figure, axes = canvas(WIDE, 0.6 + 0.215 * len(values))
    chart = axes[0, 0]
    at = np.arange(len(values))[::-1]
    chart.barh(at, values.to_numpy(), color=colour, height=0.62)
    chart.set_yticks(at, [str(name) for name in values.index], fontsize=7.5)
    reach = max(float(np.abs(values).max()), *limits, 1e-9)
    for y, value, note in zip(at, values, notes, strict=True):
        chart.text(max(float(value), 0) + 0.01 * reach, y, note, va="center", fontsize=7.5, color=MUTED)
    for limit in limits:
        chart.axvline(limit, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    chart.set_xlim(min(0.0, 1.05 * float(values.min())), 1.45 * reach)
    chart.set_ylim(-0.6, len(values) - 0.4)
    chart.xaxis.set_major_formatter(form)
    chart.grid(axis="y", visible=False)
    return figure


@picture
def drift(values: pd.Series, notes: Sequence[str]) -> Figure:
    """Population stability indices, the largest first."""
    return bars(values, notes, (MODERATE, LARGE), ORANGE, "{x:.2f}")


def _percent(value: float, _: int | None = None) -> str:
    return f"{100 * value:+.3g} %" if value else "0 %"
