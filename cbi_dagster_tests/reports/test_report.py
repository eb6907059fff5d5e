"""The page of `cbi report`: what is on it, and what it says where there is nothing to see."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cbi_dagster.reports import pictures, report
from cbi_dagster.reports.drawing import apart, svg
from cbi_dagster.reports.material import Material, NoSessionError, gather
from cbi_dagster_tests.properties.worlds import World

DAY = np.datetime64("2023-06-15")
SECTIONS = ["price", "history", "forecast", "policy", "d4", "targets", "record", "coverage", "nulls", "drift"]


def written(world: World, out: Path, **asked: object) -> str:
    report.write_report(world.warehouse, "a home", out / "report.html", **asked)  # type: ignore[arg-type]
    return (out / "report.html").read_text(encoding="utf-8")


def part(text: str, anchor: str) -> str:
    return text[text.index(f'<section id="{anchor}">') :].partition("</section>")[0]


@pytest.fixture(scope="module")
def page(world, tmp_path_factory) -> str:
    return written(world, tmp_path_factory.mktemp("page"), date=DAY)


@pytest.fixture(scope="module")
def material(world) -> Material:
    return gather(world.warehouse, "ZL", DAY)


def test_everything_that_is_built_is_drawn(page):
    assert [anchor for anchor in SECTIONS if "<svg" not in part(page, anchor)] == []
    assert "SIMULATED DATA" in page
    assert "2023-06-15" in page
    assert len(page) < 5_000_000


def test_the_page_fetches_nothing_and_runs_nothing(page):
    assert "http" not in page
    assert re.findall(r"<script|<link|<iframe|@import|src=", page) == []
    assert {match[0] for match in re.findall(r'href="(.)', page)} <= {"#", "d"}
    assert set(re.findall(r"url\((.)", page)) <= {"#"}


def test_colours_are_those_of_the_readers_scheme(page):
    assert "prefers-color-scheme:dark" in page
    drawn = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    assert set(re.findall(r"(?:fill|stroke): (#\w+)", drawn)) == set()


def test_advice_is_a_probability_with_its_horizon_and_a_disclaimer(page):
    assert "No advice" in page
    assert "1w (5 sessions)" in part(page, "forecast")
    assert "(past: " in part(page, "policy")


def test_the_same_rows_make_the_same_page(world, page, tmp_path):
    assert written(world, tmp_path, date=DAY) == page


def test_nothing_is_of_later_than_the_date(world, material):
    for rows in (material.sessions, material.policy, material.biofuel, material.performance):
        assert rows["date"].max().to_datetime64() <= DAY
    assert material.matrix["data_date"].max().to_datetime64() == DAY
    later = gather(world.warehouse, "ZL", DAY + 25)
    weekly = material.targets["1w"], later.targets["1w"]
    assert len(weekly[0]) < len(weekly[1])
    # Five sessions before the date there is the last row whose target had come.
    assert weekly[0]["date"].max() == material.sessions["date"].iloc[-6]


def test_a_date_without_a_session_names_the_nearest(world, tmp_path):
    with pytest.raises(
        NoSessionError,
        match=r"ZL has no session on 2023-06-17: .* of 2023-06-16 and 2023-06-\d\d; `cbi show .* says why",
    ):
        written(world, tmp_path, date=np.datetime64("2023-06-17"))
    with pytest.raises(NoSessionError, match="of 2022-06-01; "):
        written(world, tmp_path, date=np.datetime64("1999-01-01"))
    assert list(tmp_path.iterdir()) == []


def test_a_symbol_that_is_not_there_is_told_with_those_that_are(world, tmp_path):
    with pytest.raises(NoSessionError, match=r"no sessions of XX; there are of .*MES.*ZL"):
        written(world, tmp_path, symbol="XX")


def test_other_symbols_say_what_is_of_soybean_oil_alone(world, tmp_path):
    text = written(world, tmp_path, symbol="MES")
    assert [anchor for anchor in ("price", "targets", "nulls") if "<svg" not in part(text, anchor)] == []
    assert "forecasts ZL alone" in part(text, "forecast")
    crude = gather(world.warehouse, "CL", DAY)
    assert "no daily training tables of CL" in report._targets(crude, None).empty


def test_a_market_that_is_missing_is_named(material):
    nothing = material.biofuel.assign(boho_spread=np.nan, biodiesel_margin=np.nan, d4_rin_proxy=np.nan)
    section = report._d4(replace(material, biofuel=nothing), None)
    assert (section.picture, "Nothing is known of heating_oil" in section.empty) == ("", True)


def test_a_suspicious_feature_is_listed(material):
    ahead = material.sessions["adj_close"].pct_change().shift(-1).cumsum().to_numpy()
    section = report._correlations(replace(material, matrix=material.matrix.assign(technicals_leak=ahead)), None)
    (suspects, _) = section.grids
    assert [row[0] for row in suspects.rows] == ["technicals_leak"]
    assert "None of" in report._correlations(material, None).said


def test_drift_needs_both_periods(material):
    section = report._drift(material, np.datetime64("2023-01-02"))
    assert "<svg" in section.picture
    assert "technicals_sma_5" not in section.picture, "a level of prices is counted and not drawn"
    assert [row[0] for row in section.grids[0].rows] == ["drawn from", "levels of prices and volumes"]
    assert "needs rows before and after" in report._drift(material, np.datetime64("2030-01-01")).empty


def test_foreign_text_stays_text(world, material, tmp_path):
    sessions = material.sessions.assign(contract='<b onload="x">$\\frac$&')
    drawn = svg(pictures.price(sessions, None, None))
    assert "<b onload" not in drawn
    assert "&lt;b onload" in drawn
    report.write_report(world.warehouse, "/home/<script>x</script>", tmp_path / "r.html", date=DAY)
    assert "<script" not in (tmp_path / "r.html").read_text()


def test_a_series_without_a_factor_is_drawn_as_quoted(material):
    assert "each as quoted" in svg(pictures.price(material.sessions.assign(adj_factor=np.nan), None, None))


def test_a_single_session_is_drawn(material):
    assert "1 sessions to" in svg(pictures.price(material.sessions.head(1), None, None))


def test_labels_are_pushed_apart_in_order():
    places = apart([1.0, 1.1, 1.2, 5.0], 1.0)
    assert np.diff(places).min() >= 1.0 - 1e-12
    assert places[3] == 5.0
    assert np.mean(places[:3]) == pytest.approx(1.1)
