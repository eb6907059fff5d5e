"""The D4 RIN proxy of `biofuel_daily` against prices at which D4 RINs were traded.

The proxy says what a RIN must cost for a biodiesel producer to break even; a traded price also holds what people expect
of a tax credit that has lapsed, of the mandate and of its waivers. Both are told: how the levels go together, and how
far apart they are; and the same had the credit counted always, never, or in part while it had lapsed. Changes are from
one date that both have to the next.

Example:
    CBI_HOME=~/history python benchmarks/d4_rins.py --prices commodities.csv --column rin-d4-us
"""

from __future__ import annotations

import argparse

import pandas as pd
from recording import markdown

from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.features import BIOFUEL_DAILY
from cbi_dagster.config.biofuel import load_biofuel
from cbi_dagster.home import Home


def together(prices: pd.Series) -> pd.DataFrame:
    """`traded` (USD/RIN, by date), `proxy`, `margin` and `in_force` on the dates that have both prices."""
    wanted = ["date", "d4_rin_proxy", "biodiesel_margin", "blender_credit_in_force"]
    rows = to_frame(BIOFUEL_DAILY, Home.from_environment().open().warehouse.read(BIOFUEL_DAILY, None, wanted))
    rows = rows.set_index("date").set_axis(["proxy", "margin", "in_force"], axis=1)
    rows["in_force"] = rows["in_force"].astype("boolean")
    return rows.join(prices.rename("traded"), how="inner").dropna().sort_index()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prices", required=True, help="CSV with a column Date and a price in US cents per RIN")
    parser.add_argument("--column", default="rin-d4-us", help="the column of the price")
    options = parser.parse_args()
    table = pd.read_csv(options.prices, parse_dates=["Date"]).set_index("Date")
    both = together(table[options.column].dropna() / 100)
    in_force = both["in_force"].astype(bool)
    change = both[["traded", "proxy"]].diff()
    same_law = both["in_force"].eq(both["in_force"].shift())
    apart = (both["proxy"] - both["traded"]).abs()
    figures = {
        "level": both["proxy"].corr(both["traded"]),
        "level, dates on which the credit was in force": both["proxy"][in_force].corr(both["traded"][in_force]),
        "level, dates on which it had lapsed": both["proxy"][~in_force].corr(both["traded"][~in_force]),
        "daily change": change["proxy"].corr(change["traded"]),
        "daily change, days on which the credit came or went left out": change[same_law]["proxy"].corr(
            change[same_law]["traded"]
        ),
    }
    print(f"{len(both):,} dates, {both.index[0]:%Y-%m-%d} to {both.index[-1]:%Y-%m-%d}\n")
    print(markdown(["proxy and traded price", "correlation"], [[name, f"{x:.2f}"] for name, x in figures.items()]))
    print(f"\nMean distance: {apart.mean():.2f} USD/RIN\n")
    rins = load_biofuel().parameters.d4_rins_per_gallon.at(both.index.to_numpy())
    counted = {"as it was known": 0.0, "half while it had lapsed": 0.5, "always": 1.0}
    credits = {name: in_force + share * ~in_force for name, share in counted.items()} | {"never": 0.0 * in_force}
    rows = []
    for name, credit in credits.items():
        proxy = (in_force - both["margin"] - credit).clip(lower=0) / rins
        rows.append(
            [
                name,
                f"{proxy.corr(both['traded']):.2f}",
                f"{proxy.diff().corr(change['traded']):.2f}",
                f"{(proxy - both['traded']).abs().mean():.2f}",
            ]
        )
    print(markdown(["1 USD/gal counted", "level", "daily change", "mean distance"], rows) + "\n")
    years = both.groupby(both.index.year)
    rows = [
        [
            str(year),
            f"{own['traded'].mean():.2f}",
            f"{own['proxy'].mean():.2f}",
            f"{own['proxy'].corr(own['traded']):.2f}",
        ]
        for year, own in years
    ]
    print(markdown(["year", "traded, mean", "proxy, mean", "correlation"], rows))


if __name__ == "__main__":
    main()
