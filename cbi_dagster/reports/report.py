"""The report on one symbol and trade date: what is in its sections, and in words why one of them is empty."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from cbi_dagster import __version__
from cbi_dagster.catalog import ASSET_TABLES, LANDING_SOURCES
from cbi_dagster.catalog.columns.bars import PRICE
from cbi_dagster.catalog.columns.forecasts import ALL_REGIMES
from cbi_dagster.catalog.tables.features import DAILY_ML_MATRIX
from cbi_dagster.config.biofuel import load_biofuel
from cbi_dagster.config.horizons import load_horizons
from cbi_dagster.config.universe import load_universe
from cbi_dagster.matrix.drift import LARGE, MODERATE, population_stability
from cbi_dagster.reports import pictures
from cbi_dagster.reports.drawing import BLUE, ORANGE, svg
from cbi_dagster.reports.material import Material, gather
from cbi_dagster.reports.page import Grid, Section, page
from cbi_dagster.reports.shares import filled_shares, null_shares
from cbi_dagster.training.correlations import NOTABLE, with_next_return, with_target
from cbi_dagster.warehouse.contract import SIMULATED, Warehouse
from cbi_dagster.warehouse.ledger import NOTHING

#: Sessions up to the date that drift compares with all before them, where no date says otherwise.
RECENT_SESSIONS = 252
_POLICY_SESSIONS = 252
_LISTED = 18
_LEVELS = (PRICE, "contracts")
"""Units in which drift says no more than that a market moved."""
_BUILD = "`cbi refresh` builds what is landed; `cbi status` says what that is."

_NOTICE = (
    "Research material: probabilities and ranges, each for a stated horizon, of models that may be wrong in either "
    "direction. No advice, and no instruction to buy, sell, or wait."
)


def write_report(
    warehouse: Warehouse,
    place: str,
    out: Path,
    *,
    symbol: str = "ZL",
    date: np.datetime64 | None = None,
    since: np.datetime64 | None = None,
    told: Callable[[str], None] = lambda step: None,
) -> int:
    """Write the report on a symbol's session (None: its last one) to `out`, whole or not at all; its bytes.

    Rows are those up to the session, and outcomes those that had come by then. `since`: the first trade date of the
    later period that drift compares (None: the last RECENT_SESSIONS sessions). `told` hears what is done next. Raises
    NoSessionError.
    """
    told("reading")
    found = gather(warehouse, symbol, date)
    parts = []
    for title, section in _SECTIONS:
        told(f"drawing {title}")
        parts.append(section(found, since))
    day = "nothing built" if found.date is None else str(found.date)
    text = page(f"{symbol}, {day}", list(_facts(found, place)), _notice(found), parts, _foot(found))
    # A name that nobody else has: a file of another program is never written over.
    partial = out.with_name(f"{uuid.uuid4().hex}.part")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return len(text.encode())


def _facts(found: Material, place: str) -> Iterator[tuple[str, str]]:
    yield "state", place
    if found.date is None:
        return
    last = found.sessions.iloc[-1]
    yield "close", f"{last['close']:,.6g} {load_universe().product(found.symbol).quote_unit}"
    grown = (1 + found.sessions["adj_close"].pct_change(fill_method=None)).to_numpy(np.float64)
    for sessions in (1, 5, 21):
        change = float(np.prod(grown[-sessions:])) - 1 if len(grown) > sessions else np.nan
        yield f"{sessions} session{'s' * (sessions > 1)}", f"{change:+.2%}" if change == change else "unknown"
    yield "contract", pictures.contract_of(last)
    quality = last["session_quality"]
    yield "session", str(quality).replace("_", " ") if pd.notna(quality) else "quality unknown"
    yield "known from (UTC)", f"{last['session_close_ts']:%Y-%m-%d %H:%M}"
    regime = next((rows["regime"].iloc[-1] for rows in found.targets.values() if len(rows)), None)
    if regime is not None:
        yield "regime of the last row with a target", str(regime).replace("_", " ")


def _notice(found: Material) -> str:
    simulated = "SIMULATED DATA, no market ever had these prices. " if found.dataset.startswith(SIMULATED) else ""
    return simulated + _NOTICE


def _foot(found: Material) -> str:
    version = found.ledgers.get(DAILY_ML_MATRIX.id, NOTHING)
    digest = "none" if found.date is None else version.digest(DAILY_ML_MATRIX, [(found.date, found.date)])
    return (
        f"cbi-dagster {__version__}. Nothing above but the coverage was known later than the date. Version of the row "
        f"of {DAILY_ML_MATRIX.id}: {digest}. {_NOTICE}"
    )


def _price(found: Material, since: np.datetime64 | None) -> Section:
    said = (
        "Bars from low to high, thick from open to close (blue: up, orange: down). P, R and S are the pivots of the "
        "session before, WP and MP those of the week and month before; percentages are Fibonacci retracements and "
        "extensions of the last confirmed swing. Dashed lines are rolls."
    )
    if found.date is None:
        return Section("price", "Price", said, empty=f"No session is built. {_BUILD}")
    one = [rows.iloc[0] if len(rows) else None for rows in (found.pivots, found.fibs)]
    missing = [name for name, row in zip(("pivots", "Fibonacci levels"), one, strict=True) if row is None]
    empty = f"Without {' and '.join(missing)}: they are not built for this date. {_BUILD}" if missing else ""
    return Section("price", "Price", said, svg(pictures.price(found.sessions, *one)), empty)


def _history(found: Material, since: np.datetime64 | None) -> Section:
    said = (
        "The front contract as quoted, and adjusted so that a roll is no move (one forward ratio per contract). "
        "Sessions marked at the bottom are there in part, or doubtful: no label starts or ends in them."
    )
    if found.date is None:
        return Section("history", "History and rolls", said, empty=f"No session is built. {_BUILD}")
    if len(found.sessions) == 1:
        return Section("history", "History and rolls", said, empty="The date is that of the first session.")
    rolls = found.sessions.loc[found.sessions["is_roll"].to_numpy(bool)].tail(6)
    rows = [
        (f"{roll['date']:%Y-%m-%d}", pictures.contract_of(roll), f"{roll['roll_gap']:+.6g}", str(roll["roll_method"]))
        for _, roll in rolls.iloc[::-1].iterrows()
    ]
    grids = [Grid(("roll", "to", "new less old price", "how the factor was found"), rows)] if rows else []
    return Section("history", "History and rolls", said, svg(pictures.history(found.sessions)), grids=grids)


def _forecast(found: Material, since: np.datetime64 | None) -> Section:
    said = (
        "Returns over the sessions ahead, as known at the close of the date: the bar is meant to hold 8 of 10 "
        "outcomes, the point is the middle one. Below: how often it did, and its error over that of no change."
    )
    if found.symbol != "ZL":
        return Section("forecast", "Forecasts", said, empty="The baseline forecasts ZL alone.")
    learnt = found.forecasts.dropna(subset=["forecast_p10"])
    if learnt.empty:
        why = (
            "The baseline has learned nothing yet: a model of a year learns from targets that came before it."
            if len(found.forecasts)
            else f"predictions.zl_forecasts has no row of this date. {_BUILD}"
        )
        return Section("forecast", "Forecasts", said, empty=why)
    order = {horizon.name: horizon.sessions for horizon in load_horizons().daily(found.symbol)}
    rows = learnt.assign(at=learnt["target_horizon"].astype(str).map(order)).sort_values("at", kind="stable")
    record = _latest_record(found)
    cells = []
    for _, row in rows[rows["model"] != "no_change"].iterrows():
        known = record.get((str(row["target_horizon"]), str(row["model"])))
        cells.append(
            (
                f"{row['target_horizon']} ({row['at']} sessions)", str(row["model"]),
                *(f"{value:+.1%}" for value in row[["forecast_p10", "forecast_p50", "forecast_p90"]]),
                f"{row['forecast_price_p10']:,.2f} … {row['forecast_price_p90']:,.2f}",
                "-" if known is None else f"{known['interval_coverage']:.0%} of {known['scored_forecasts']:,}",
                "-" if known is None else f"{known['error_over_no_change']:.2f}",
            )
        )  # fmt: skip
    head = ("horizon", "model", "P10", "P50", "P90", "price, P10 … P90", "held so far", "error / no change")
    return Section("forecast", "Forecasts", said, svg(pictures.forecasts(rows)), grids=[Grid(head, cells)])


def _latest_record(found: Material) -> dict[tuple[str, str], pd.Series]:
    rows = found.performance[found.performance["scored_regime"] == ALL_REGIMES]
    rows = rows.dropna(subset=["interval_coverage", "error_over_no_change"])
    return {(str(row["target_horizon"]), str(row["model"])): row for _, row in rows.iterrows()}


def _record(found: Material, since: np.datetime64 | None) -> Section:
    said = (
        "All forecasts whose targets had come, month by month: the mean absolute error over that of no change (below 1 "
        "is better than saying nothing moves; cut at 2.5), and the share of returns within P10 … P90 (0.8 is meant)."
    )
    if found.symbol != "ZL":
        return Section("record", "The baseline's record", said, empty="The baseline forecasts ZL alone.")
    order = [horizon.name for horizon in load_horizons().daily("ZL")]
    rows = found.performance[found.performance["scored_regime"] == ALL_REGIMES]
    rows = rows.dropna(subset=["error_over_no_change", "interval_coverage"])
    rows = rows.assign(at=rows["target_horizon"].astype(str).map(order.index)).sort_values(["at", "date"])
    if rows.empty:
        why = f"monitoring.model_performance says nothing by this date: no forecast's target had come. {_BUILD}"
        return Section("record", "The baseline's record", said, empty=why)
    return Section("record", "The baseline's record", said, svg(pictures.record(rows)))


def _policy(found: Material, since: np.datetime64 | None) -> Section:
    said = (
        "Probabilities are an expert rule's, and how far the past supports it stands beside them; moves are priors of "
        "both directions, for the hours stated. Policy is one of many drivers. Below: the policy features of a year."
    )
    if found.symbol == "ZL" and len(found.impact) and found.impact["probability"].notna().any():
        picture = svg(pictures.actions(found.impact))
        empty = ""
    else:
        picture = ""
        empty = (
            "No probability of a policy action is known: no source of posts covers the day. `cbi posts fetch` and "
            "`cbi land` take posts."
            if found.symbol == "ZL"
            else "Expected moves of policy actions are those of ZL alone."
        )
    rows = found.policy.tail(_POLICY_SESSIONS)
    if rows.empty or not rows["policy_coverage"].fillna(False).any():
        empty += " The strip is empty: no post or coverage of a source is landed for these sessions."
    else:
        picture += svg(pictures.policy(rows))
    return Section("policy", "Policy", said, picture, empty.strip())


def _d4(found: Material, since: np.datetime64 | None) -> Section:
    said = (
        "D4 RIN proxy = max(0, oil x 7.5 lb + conversion cost - credit - heating oil) / 1.5: soybean oil and heating "
        "oil as they stood at 13:20 Chicago. It has no market price; the credit counts from the day it was signed."
    )
    title = "The D4 proxy beside its legs"
    if found.symbol != "ZL":
        return Section("d4", title, said, empty="Biofuel economics are those of ZL: see its report.")
    rows, parameters = found.biofuel, load_biofuel().parameters
    dates = rows["date"].to_numpy()
    oil = rows["oil_value_bu"] * parameters.biodiesel_feedstock.at(dates) / parameters.soybean_oil_yield.at(dates)
    legs = pd.DataFrame(
        {
            "date": rows["date"],
            "oil": oil,
            "heating_oil": oil - rows["boho_spread"],
            "credit_less_cost": rows["biodiesel_margin"] + rows["boho_spread"],
            "d4": rows["d4_rin_proxy"],
        }
    )
    if legs["d4"].notna().sum() > 1:
        return Section("d4", title, said, svg(pictures.d4_proxy(legs)))
    lacking = [] if rows.empty else [name for name in ("oil", "heating_oil") if not legs[name].notna().any()]
    why = f"Nothing is known of {' and '.join(lacking)} here: its market is not landed." if lacking else _BUILD
    return Section("d4", title, said, empty=f"The proxy is NULL throughout, or not built. {why}")


def _targets(found: Material, since: np.datetime64 | None) -> Section:
    said = (
        "Returns of training rows whose targets had come, by the regime in force on the row's date: 10 … 90 % as a "
        "line, the middle half thick, the median as a point. Targets overlap; regimes are named in hindsight."
    )
    rows = {name: frame for name, frame in found.targets.items() if len(frame)}
    if rows:
        return Section("targets", "Targets by regime", said, svg(pictures.targets(rows)))
    why = (
        f"No target of {found.symbol} had come by this date, or its training tables are not built. {_BUILD}"
        if found.targets
        else f"There are no daily training tables of {found.symbol}."
    )
    return Section("targets", "Targets by regime", said, empty=why)


def _coverage(found: Material, since: np.datetime64 | None) -> Section:
    said = (
        "The share of trade dates with rows, by month (by week in a short history), of everything that is landed and "
        "built, whatever the date of this report."
    )
    names = [*LANDING_SOURCES, *(item.id for item in ASSET_TABLES if item.partitioning.column)]
    shares = filled_shares(found.ledgers, names)
    if shares.empty:
        return Section("coverage", "Coverage", said, empty=f"Nothing is landed and nothing built. {_BUILD}")
    notes = []
    for name in names:
        rows = int(found.ledgers.get(name, NOTHING).row_counts.sum())
        notes.append(f"{rows:,} rows" if rows else "none landed" if name in LANDING_SOURCES else "no rows")
    return Section("coverage", "Coverage", said, svg(pictures.strips(shares, BLUE, notes)))


def _nulls(found: Material, since: np.datetime64 | None) -> Section:
    said = (
        f"The share of features that are NULL in the rows of {found.symbol}, by STRUCT of the matrix over time, then "
        "the features that are known in part. Warm-ups and sources never landed are NULL: nothing is filled in."
    )
    title = "What is NULL"
    if found.matrix.empty:
        return Section("nulls", title, said, empty=f"{DAILY_ML_MATRIX.id} has no rows of {found.symbol}. {_BUILD}")
    shares = null_shares(found.matrix)
    features = found.matrix.drop(columns="data_date")
    total = features.isna().mean()
    partly = total[(total > 0) & (total < 1)].sort_values(ascending=False, kind="stable").head(_LISTED)
    picture = svg(pictures.strips(shares, ORANGE, [f"{value:.1%}" for value in shares.mean(axis=1)]))
    if len(partly):
        firsts = [found.matrix.loc[features[name].notna(), "data_date"].iloc[0] for name in partly.index]
        notes = [f"{share:.1%}, known from {day:%Y-%m-%d}" for share, day in zip(partly, firsts, strict=True)]
        picture += svg(pictures.bars(partly, notes, (), ORANGE, "{x:.0%}"))
    never = list(total.index[total == 1])
    grids = [Grid((f"NULL in every row of {found.symbol} ({len(never)})",), [(", ".join(never),)])] if never else []
    return Section("nulls", title, said, picture, grids=grids)


def _drift(found: Material, since: np.datetime64 | None) -> Section:
    title = "Drift"
    dates = found.matrix["data_date"].to_numpy().astype("datetime64[D]")
    at = len(dates) - RECENT_SESSIONS if since is None else int(np.searchsorted(dates, since))
    later = f"since {dates[at]}" if 0 < at < len(dates) else "later"
    said = (
        f"The population stability index of each feature of {found.symbol}, {later} against all before: the sum over "
        f"deciles of the earlier rows, and NULL, of (a - b) ln(a / b) (Siddiqi 2006). {MODERATE} is called moderate, "
        f"{LARGE} large. Levels of prices and volumes drift by their nature and are only counted."
    )
    if not 0 < at < len(dates):
        why = f"Drift needs rows before and after: {found.symbol} has {len(dates):,} rows in the matrix by this date"
        return Section("drift", title, said, empty=f"{why}; `--since` names another first date of the later period.")
    features = found.matrix.drop(columns="data_date")
    before, after = features.iloc[:at], features.iloc[at:]
    index = population_stability(before, after).dropna().sort_values(ascending=False, kind="stable")
    levels = {path.replace(".", "_") for path, column in DAILY_ML_MATRIX.leaves() if column.unit in _LEVELS}
    others = index[[name for name in index.index if name not in levels]]
    shown = others.head(_LISTED)
    notes = [_moved(before[name], after[name]) for name in shown.index]
    counts = [
        (kind, f"{len(of)}", f"{(of >= LARGE).sum()}", f"{((of >= MODERATE) & (of < LARGE)).sum()}")
        for kind, of in (("drawn from", others), ("levels of prices and volumes", index.drop(others.index)))
    ]
    grids = [Grid(("", "features", "large", "moderate"), counts)]
    return Section("drift", title, said, svg(pictures.drift(shown, notes)), grids=grids)


def _moved(before: pd.Series, after: pd.Series) -> str:
    middle, nulls = ([fn(part) for part in (before, after)] for fn in (pd.Series.median, lambda v: v.isna().mean()))
    null = f"; NULL {nulls[0]:.0%} → {nulls[1]:.0%}" if abs(nulls[1] - nulls[0]) >= 0.01 else ""
    return f"median {middle[0]:.4g} → {middle[1]:.4g}{null}"


def _correlations(found: Material, since: np.datetime64 | None) -> Section:
    said = (
        "Features that know more than features can. First the rank correlation of a feature's change with the "
        "return of the session after, which an honest feature hardly has; then that of its value with the targets. "
        f"Suspicious is what exceeds {NOTABLE} and what chance gives, overlap of targets allowed for."
    )
    title = "Suspicious correlations"
    if len(found.matrix) < 3:
        return Section("correlations", title, said, empty=f"{found.symbol} has too few rows in the matrix. {_BUILD}")
    features = found.matrix.set_index("data_date")
    close = found.sessions.set_index("date")["adj_close"].reindex(features.index)
    ahead = with_next_return(features, close).dropna(subset=["next_session"])
    shown = ahead["next_session"].abs().head(_LISTED)
    notes = [
        f"{row.next_session:+.3f} after, {row.same_session:+.3f} in the same session"
        for row in ahead.head(_LISTED).itertuples()
    ]
    suspects = [(str(name), "return of the session after", f"{row['next_session']:+.3f}", f"{row['rows']:,}")
                for name, row in ahead[ahead["suspicious"]].iterrows()]  # fmt: skip
    strongest = []
    for horizon in load_horizons().daily(found.symbol):
        rows = found.targets[horizon.name].set_index("date")["target"]
        own = with_target(features.reindex(rows.index), rows, horizon.sessions).dropna(subset=["correlation"])
        suspects += [
            (str(name), f"target {horizon.name}", f"{row['correlation']:+.3f}", f"{row['rows']:,}")
            for name, row in own[own["suspicious"]].iterrows()
        ]
        if len(own):
            told = ", ".join(f"{name} {value:+.2f}" for name, value in own["correlation"].head(3).items())
            strongest.append((f"{horizon.name} ({horizon.sessions} sessions)", told))
    grids = [Grid(("suspicious feature", "goes with", "rank correlation", "rows"), suspects)] if suspects else []
    if strongest:
        grids.append(Grid(("target", "strongest rank correlations"), strongest))
    if not suspects:
        said += f" None of {len(ahead)} features is."
    picture = svg(pictures.bars(shown, notes, (NOTABLE,), BLUE, "{x:.2f}")) if len(shown) else ""
    empty = "" if picture else "No feature and return are known together in three sessions."
    return Section("correlations", title, said, picture, empty, grids)


_SECTIONS: tuple[tuple[str, Callable[[Material, np.datetime64 | None], Section]], ...] = (
    ("prices", _price),
    ("the history", _history),
    ("forecasts", _forecast),
    ("policy", _policy),
    ("the D4 proxy", _d4),
    ("targets", _targets),
    ("the baseline's record", _record),
    ("coverage", _coverage),
    ("NULL shares", _nulls),
    ("drift", _drift),
    ("correlations", _correlations),
)
