"""Views of which there is one per table or horizon, or whose columns are a declaration's: derived from declarations.

Their text goes to `sql/views` like that of the others (`documents`); what is there is what an engine gets.
"""

from __future__ import annotations

from collections.abc import Iterator

from cbi_dagster.catalog.model import Table
from cbi_dagster.catalog.tables.features import DAILY_ML_MATRIX
from cbi_dagster.catalog.tables.mes import MES_INTRADAY
from cbi_dagster.catalog.tables.training import MES_BAR_TRAINING, MES_TRAINING, ZL_TRAINING
from cbi_dagster.config.horizons import load_horizons

GENERATED = "-- Generated from cbi_dagster/catalog by `make generate`. Do not edit.\n"

#: Macro series beside prices: the column, and the series that it is from where that was landed.
_BESIDE = {"vix": "VIX", "ten_year_yield": "DGS10"}

#: How old a macro value may be, in days, before it is unknown.
_OLDEST = 10


def generated_views() -> Iterator[tuple[str, str]]:
    """Id and text of every view that is derived."""
    yield f"{DAILY_ML_MATRIX.dataset}.vw_daily_ml_flat", _flat()
    for table in (*ZL_TRAINING, *MES_TRAINING, *MES_BAR_TRAINING):
        yield f"{table.dataset}.vw_{table.name}", _ready(table)
    horizons = load_horizons()
    for horizon, table in zip(horizons.daily("ZL"), ZL_TRAINING, strict=True):
        yield f"api.vw_zl_overlay_{horizon.name}", _zl_overlay(horizon.name, horizon.sessions, table)
    for horizon, table in zip(horizons.daily("MES"), MES_TRAINING, strict=True):
        yield f"api.vw_mes_overlay_{horizon.name}", _mes_overlay(horizon.name, horizon.sessions, table)
    for bar, bars, table in zip(horizons.intraday("MES"), MES_INTRADAY, MES_BAR_TRAINING, strict=True):
        yield f"api.vw_mes_overlay_{bar.name}", _bar_overlay(bar.name, bars, table)


def _flat() -> str:
    fields = []
    for path, _ in DAILY_ML_MATRIX.leaves():
        flat = path.replace(".", "_")
        if path != "regime.name":  # regime_name is a column of its own
            fields.append(path if flat == path else f"{path} AS {flat}")
    about = "The matrix with a column for every field, named <struct>_<field>: one row per symbol and trade date."
    return _text(about, f"SELECT\n  {_joined(fields)}\nFROM {DAILY_ML_MATRIX.id}")


def _ready(table: Table) -> str:
    names = [column.name for column in table.columns if column.name != "source_run_id"]
    about = f"Rows of {table.id} that belong to a split: those that were purged between two are left out."
    return _text(about, f"SELECT\n  {_joined(names)}\nFROM {table.id}\nWHERE split <> 'purged'")


def _zl_overlay(label: str, sessions: int, table: Table) -> str:
    about = (
        f"Soybean oil over its history with what presses on it, and the return over the next {sessions} sessions "
        "where it is known: one row per session."
    )
    return _text(
        about,
        f"""{_macro("ZL")}
SELECT
  price.date,
  price.symbol,
  price.close AS price,
  price.volume,
  matrix.open_interest.oi_front_lag1,
  matrix.biofuel.board_crush AS board_crush,
  matrix.biofuel.oil_share AS oil_share,
  matrix.biofuel.boho_spread AS boho_spread,
  matrix.fx.strength_index AS fx_strength_index,
  {_columns("macro")},
  matrix.regime_name AS regime,
  matrix.policy.trump_score_signed AS policy_score,
  matrix.policy.trump_confidence AS confidence,
  matrix.timestamp AS as_of,
  label.target_date,
  label.target_{label}
FROM market_data.futures_continuous_1d AS price
LEFT JOIN features.daily_ml_matrix AS matrix ON matrix.symbol = price.symbol AND matrix.data_date = price.date
LEFT JOIN macro ON macro.date = price.date
LEFT JOIN {table.id} AS label ON label.symbol = price.symbol AND label.data_date = price.date
WHERE price.symbol = 'ZL'""",
    )


def _mes_overlay(label: str, sessions: int, table: Table) -> str:
    about = (
        f"MES over its history with its last completed bar of {label}, and the return over the next {sessions} "
        f"session{'s' if sessions > 1 else ''} where it is known: one row per session."
    )
    bar = [f"bars.bar_{name}_{label}" for name in ("last_date", "open", "high", "low", "close", "ret", "position")]
    return _text(
        about,
        f"""{_macro("MES")}
SELECT
  price.date,
  price.symbol,
  price.close AS price,
  price.volume,
  matrix.open_interest.oi_front_lag1,
  {_joined(bar)},
  matrix.golden_zone.state AS golden_zone_state,
  matrix.regime.vol_percentile AS vol_percentile,
  {_columns("macro")},
  matrix.regime_name AS regime,
  matrix.timestamp AS as_of,
  label.target_date,
  label.target_{label}
FROM market_data.futures_continuous_1d AS price
LEFT JOIN features.mes_horizons_daily AS bars ON bars.symbol = price.symbol AND bars.date = price.date
LEFT JOIN features.daily_ml_matrix AS matrix ON matrix.symbol = price.symbol AND matrix.data_date = price.date
LEFT JOIN macro ON macro.date = price.date
LEFT JOIN {table.id} AS label ON label.symbol = price.symbol AND label.data_date = price.date
WHERE price.symbol = 'MES'""",
    )


def _bar_overlay(label: str, bars: Table, table: Table) -> str:
    about = f"MES in bars of {label}, each with the return to the close of the next one where there is one."
    return _text(
        about,
        f"""SELECT
  bar.date,
  bar.symbol,
  bar.bar_close_ts,
  bar.close AS price,
  bar.volume,
  bar.ret_1b,
  bar.rsi_14b,
  bar.vol_20b,
  bar.bb_position_20b,
  bar.volume_ratio_20b,
  calendar.regime,
  bar.bar_close_ts AS as_of,
  label.target_ts,
  label.target_{label}
FROM {bars.id} AS bar
LEFT JOIN training.regime_calendar AS calendar ON calendar.date = bar.date
LEFT JOIN {table.id} AS label ON label.symbol = bar.symbol AND label.bar_close_ts = bar.bar_close_ts""",
    )


def _macro(symbol: str) -> str:
    """The value of each series that was the newest known on each date, of the last days."""
    series = ", ".join(f"'{name}'" for name in _BESIDE.values())
    newest = ",\n    ".join(
        f"MAX(IF(series_id = '{series_id}', value, NULL)) AS {column}" for column, series_id in _BESIDE.items()
    )
    return f"""WITH known AS (
  SELECT price.date, macro.series_id, macro.value
  FROM market_data.futures_continuous_1d AS price
  JOIN raw_intelligence.macro_series AS macro
    ON macro.trade_date_available BETWEEN price.date - {_OLDEST} AND price.date
  WHERE price.symbol = '{symbol}' AND macro.series_id IN ({series})
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY price.date, macro.series_id ORDER BY macro.reference_date DESC, macro.available_at DESC
  ) = 1
),
macro AS (
  SELECT
    date,
    {newest}
  FROM known
  GROUP BY date
)"""


def _columns(source: str) -> str:
    return _joined([f"{source}.{name}" for name in _BESIDE])


def _joined(names: list[str]) -> str:
    return ",\n  ".join(names)


def _text(about: str, query: str) -> str:
    return f"-- {about}\n{GENERATED}{query}\n"
