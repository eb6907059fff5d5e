"""What makes which tables stale by code: formulas, shared code, declarations and settings, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cbi_dagster.catalog import ASSET_TABLES, LANDING_SOURCES, Table, Type, table
from cbi_dagster.catalog.sources import Package, installed
from cbi_dagster.catalog.versions import _settings, code_version, formula_modules
from cbi_dagster.config import horizons
from cbi_dagster.config.universe import load_universe
from cbi_dagster.home import code_versions
from cbi_dagster.recipes import RECIPES, Recipe
from cbi_dagster.vendors.landed import readers

VOLATILITY = table("volatility_daily")


def functions(made: Recipe) -> list[Callable[..., Any]]:
    return [made.function, *readers(made.table, load_universe())]


def edited(module: str, old: str, new: str) -> Package:
    """This package, with a piece of one module's text replaced."""
    real = installed("cbi_dagster")._source

    def source(name: str) -> tuple[str, bool] | None:
        found = real(name)
        if name != f"cbi_dagster.{module}" or found is None:
            return found
        assert old in found[0], f"{module} does not say {old!r}"
        return found[0].replace(old, new, 1), found[1]

    return Package("cbi_dagster", source)


def stale(package: Package) -> dict[str, tuple[str, ...]]:
    """Per table whose version the edit changes, the parts that a plan names."""
    found = {}
    for name, made in RECIPES.items():
        now = code_version(made.table, functions(made), package)
        if now.digest != code_versions()[name].digest:
            found[name.partition(".")[2]] = now.changes_since(code_versions()[name].parts)
    return found


def test_a_formula_makes_its_own_table_stale_and_is_named():
    found = stale(edited("features.volatility", "(4 * np.log(2))", "(8 * np.log(2))"))
    assert found == {"volatility_daily": ("code features.volatility.volatility_daily",)}


def test_a_shared_helper_makes_exactly_the_tables_stale_that_use_it():
    found = stale(edited("features.windows", "known - 1", "known"))
    assert set(found) == {"volatility_daily", "technicals_daily", "fx_daily", "fx_cross_daily", "biofuel_daily"}
    assert set(found.values()) == {("code features.windows.Sessions.standard_deviation",)}


def test_how_landed_files_are_read_makes_the_tables_stale_that_are_made_of_them():
    found = stale(
        edited("vendors.databento.bars", "(low <= lower) & (upper <= high)", "(low < lower) & (upper <= high)")
    )
    assert set(found) == {f"databento_futures_ohlcv_{name}" for name in ("1m", "1h", "utc_1d")}


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("features.volatility", "= Sessions(continuous, INPUTS)\n", "= Sessions(continuous, INPUTS)  # all of them\n"),
        ("features.volatility", '"""Volatility of every session', '"""The volatility of every session'),
        ("features.windows", "np.maximum(known - 1, 1)", "np.maximum( known - 1,\n            1 )"),
        ("catalog.model", '"""The window in words."""', '"""The window, in words."""'),
    ],
)  # fmt: skip
def test_comments_docstrings_and_formatting_make_nothing_stale(module, old, new):
    assert stale(edited(module, old, new)) == {}


def test_renaming_a_local_makes_nothing_stale():
    text = installed("cbi_dagster")._source("cbi_dagster.features.volatility")[0]
    renamed = text.replace("parkinson = ", "spread = ").replace(": parkinson,", ": spread,")
    assert renamed != text
    assert stale(edited("features.volatility", text, renamed)) == {}


def changed(declared: Table) -> tuple[str, ...]:
    functions = [RECIPES[declared.id].function]
    return code_version(declared, functions).changes_since(code_versions()[declared.id].parts)


def test_a_declaration_counts_by_what_it_says_of_the_content():
    first, *others = VOLATILITY.reads
    further = replace(VOLATILITY, reads=(replace(first, back=400), *others))
    assert changed(further) == (f"declaration read of {first.source} by {VOLATILITY.id}",)
    *columns, last = VOLATILITY.columns
    bounded = replace(VOLATILITY, columns=(*columns, replace(last, le=2.0)))
    assert changed(bounded) == (f"declaration column {last.name} of {VOLATILITY.id}",)
    retyped = replace(VOLATILITY, columns=(*columns, replace(last, type=Type.INT64)))
    assert changed(retyped) == (f"declaration column {last.name} of {VOLATILITY.id}",)


def test_descriptions_units_and_owners_are_no_part_of_a_version():
    told = tuple(replace(column, description="x", unit="y") for column in VOLATILITY.columns)
    assert changed(replace(VOLATILITY, columns=told, description="x", owners=("team:x",), cluster=())) == ()


def test_a_setting_is_named_and_makes_the_tables_stale_that_read_its_config(monkeypatch):
    loaded = horizons.load_horizons()
    splits = loaded.splits.model_copy(update={"train_to": loaded.splits.train_to.replace(year=2019)})
    before = code_versions()
    _settings.cache_clear()
    monkeypatch.setattr(horizons, "load_horizons", lambda: loaded.model_copy(update={"splits": splits}))
    try:
        after = {name: code_version(made.table, functions(made)) for name, made in RECIPES.items()}
    finally:
        _settings.cache_clear()
    found = {name: after[name].changes_since(before[name].parts) for name in after if after[name] != before[name]}
    assert set(found) == {item.id for item in ASSET_TABLES if "training_prod" in item.name}
    assert set(found.values()) == {("setting horizons.splits.train_to",)}


def test_what_a_function_was_made_with_counts():
    minutes, hours = (code_versions()[f"features.mes_{name}"] for name in ("5min", "15min"))
    assert minutes.parts["declaration horizon of the function"] != hours.parts["declaration horizon of the function"]


def test_every_table_and_landing_source_has_a_version_of_its_own():
    assert len({version.digest for version in code_versions().values()}) == len(ASSET_TABLES) + len(LANDING_SOURCES)


def test_the_modules_of_the_formulas_are_those_that_a_recipe_calls():
    assert formula_modules(RECIPES[VOLATILITY.id].function) == ["cbi_dagster/features/volatility.py"]
