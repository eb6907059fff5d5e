from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import table
from cbi_dagster.reports.leakage import columns_read, features_of, leaks

ONE_WEEK = table("zl_training_prod_allhistory_1w")
COPIED, CLOSE, OTHER = features_of(ONE_WEEK)[:3]


def rows_of(count: int = 400) -> pd.DataFrame:
    """Rows of a random walk, all features but three NULL."""
    random = np.random.default_rng(3)
    target = random.normal(0, 0.02, count)
    price = 40 * np.exp(np.cumsum(random.normal(0, 0.01, count)))
    dates = pd.bdate_range("2022-06-01", periods=count)
    rows = pd.DataFrame({name: np.full(count, np.nan) for name in columns_read(ONE_WEEK)})
    return rows.assign(
        **{COPIED: random.normal(size=count), CLOSE: price, OTHER: random.normal(size=count)},
        target_1w=target,
        target_price_1w=price * (1 + target),
        target_direction_1w=pd.array(np.sign(target), "Int64"),
        data_date=dates,
        target_date=dates + pd.offsets.BDay(5),
        split=np.where(np.arange(count) < 195, "train", np.where(np.arange(count) < 200, "purged", "val")),
    )


def test_a_sound_table_has_no_leak_though_prices_follow_each_other() -> None:
    rows = rows_of()
    assert np.corrcoef(rows[CLOSE], rows["target_price_1w"])[0, 1] > 0.95
    assert not leaks(ONE_WEEK, [rows])
    assert not leaks(ONE_WEEK, [])


@pytest.mark.parametrize("noise", [0.0, 0.25, 0.45])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_correlation_is_that_of_all_rows_however_they_come(noise: float, sign: int) -> None:
    rows = rows_of()
    random = np.random.default_rng(5)
    rows[COPIED] = 1e4 + sign * (rows["target_1w"] + random.normal(0, noise * 0.02, len(rows)))
    rows.loc[rows.index[::7], COPIED] = np.nan
    truth = rows[COPIED].corr(rows["target_1w"])
    found = leaks(ONE_WEEK, [rows.iloc[:10], rows.iloc[10:11], rows.iloc[11:]])
    expected = [f"{COPIED} and target_1w: correlation {truth:.3f}"] if abs(truth) > 0.95 else []
    assert found.get("feature tells the target", []) == expected
    assert bool(expected) == (noise < 0.4)


def test_the_price_of_the_target_is_found_where_it_is_copied() -> None:
    rows = rows_of()
    assert leaks(ONE_WEEK, [rows.assign(**{COPIED: rows["target_price_1w"]})]) == {
        "feature tells the target": [f"{COPIED} is target_price_1w in 400 of 400 rows"]
    }


def test_few_rows_tell_nothing() -> None:
    rows = rows_of().iloc[:50]
    assert not leaks(ONE_WEEK, [rows.assign(**{COPIED: rows["target_1w"]})])


def test_a_label_that_ends_where_the_next_split_begins_is_found_across_parts() -> None:
    rows = rows_of()
    rows["split"] = rows["split"].where(rows.index != 195, "train")
    (told,) = leaks(ONE_WEEK, [rows.iloc[:150], rows.iloc[150:]])["label reaches into a later split"]
    assert told == f"labels of train reach to {rows['data_date'][200]:%Y-%m-%d}, rows of val begin on " + (
        f"{rows['data_date'][200]:%Y-%m-%d}"
    )
