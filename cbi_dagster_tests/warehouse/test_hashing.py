import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbi_dagster.catalog import Column, Daily, Table, Type
from cbi_dagster.warehouse.hashing import content_hashes, mixed
from cbi_dagster.warehouse.slices import check_slice, to_arrow

from .conftest import SAMPLE

DAY = np.array(["2024-01-02"], dtype="datetime64[D]")


def digest(frame):
    return content_hashes(check_slice(SAMPLE, DAY, frame))[0]


def sample(price=1.0, volume=1, flag=True, symbol="ZL", pivot=2.0, kind="R1", source_file="f"):
    return pa.table(
        {
            "date": pa.array([DAY[0].astype(object)]),
            "symbol": [symbol],
            "price": pa.array([price], pa.float64()),
            "volume": pa.array([volume], pa.int64()),
            "flag": pa.array([flag], pa.bool_()),
            "at": pa.array([None], pa.timestamp("us", tz="UTC")),
            "source_file": [source_file],
            "pivots": pa.array(
                [None if pivot == "null" else {"P": pivot, "kind": kind}], SAMPLE.column("pivots").arrow_type
            ),
        }
    )


def test_row_order_and_audit_columns_do_not_count(rows):
    frame = rows("2024-01-02")
    assert digest(frame) == digest(frame.iloc[::-1]) == digest(frame.assign(source_file="another"))


def test_the_hash_is_the_same_in_every_version():
    # A literal: should it change, every stored partition would look rewritten.
    assert digest(sample()) == "7366d880b498ef40e4da7cdef40cb713"


@pytest.mark.parametrize(
    "change",
    [
        {"price": 1.0000000000000002},
        {"volume": 2},
        {"volume": None},
        {"volume": 0},
        {"flag": None},
        {"flag": False},
        {"symbol": "ZS"},
        {"pivot": None},
        {"pivot": "null"},
        {"kind": None},
        {"kind": ""},
        {"price": -1.0},
    ],
)
def test_every_other_change_counts(change):
    assert digest(sample(**change)) != digest(sample())


def test_null_zero_and_empty_are_three_things():
    digests = [
        digest(sample(volume=None)),
        digest(sample(volume=0)),
        digest(sample(pivot=None)),
        digest(sample(pivot="null")),
        digest(sample(pivot=0.0)),
    ]
    assert len(set(digests)) == 5


def test_minus_zero_is_zero():
    assert digest(sample(price=-0.0)) == digest(sample(price=0.0))


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.one_of(st.none(), st.integers(0, 2**62))),
        min_size=1,
        max_size=8,
    )
)
def test_equal_content_and_only_equal_content_has_equal_hashes(values):
    def frame(pairs):
        return pa.concat_tables([sample(price=p, volume=v, symbol=f"S{i}") for i, (p, v) in enumerate(pairs)])

    changed = [*values[:-1], (values[-1][0] + 1.0, values[-1][1])]
    assert digest(frame(values)) == digest(frame(values).take(list(range(len(values)))[::-1]))
    assert (digest(frame(values)) == digest(frame(changed))) == (values[-1][0] + 1.0 == values[-1][0])


def test_an_empty_partition_has_content(rows):
    days = np.array(["2024-01-02", "2024-01-03"], dtype="datetime64[D]")
    hashes = content_hashes(check_slice(SAMPLE, days, to_arrow(SAMPLE, rows("2024-01-02"))))
    assert len(set(hashes)) == 2
    assert all(len(h) == 32 for h in hashes)
    empty = content_hashes(check_slice(SAMPLE, days[1:], pd.DataFrame(columns=[c.name for c in SAMPLE.columns])))
    assert empty == hashes[1:]


WIDE_NUMBERS = [f"c{number}" for number in range(140)]
WIDE = Table(
    dataset="features",
    name="wide",
    description="More columns than a word has bits.",
    columns=(
        Column("date", Type.DATE, ""),
        Column("symbol", Type.STRING, ""),
        *(Column(name, Type.INT64, "") for name in WIDE_NUMBERS),
        *(Column(name, Type.STRING, "") for name in ("source_run_id", "source_file")),
        Column("source_row", Type.INT64, ""),
    ),
    key=("symbol", "date"),
    partitioning=Daily("date"),
    layer="features",
)


def wide(**values):
    row = dict.fromkeys(WIDE_NUMBERS, 0) | {"source_run_id": "r", "source_file": "f", "source_row": 1} | values
    frame = pd.DataFrame([row]).astype(dict.fromkeys(WIDE_NUMBERS, "Int64"))
    return content_hashes(check_slice(WIDE, DAY, frame.assign(date=DAY.astype("datetime64[ns]"), symbol="ZL")))[0]


def test_null_is_not_zero_in_any_column_of_a_wide_table():
    # A word has 64 bits; two columns stand before the first number.
    numbers = [*range(58, 68), *range(122, 132), 139]
    assert len({wide(), *(wide(**{f"c{number}": pd.NA}) for number in numbers)}) == 1 + len(numbers)


@pytest.mark.parametrize(("name", "other"), [("source_run_id", "s"), ("source_file", "g"), ("source_row", 7)])
def test_where_a_row_comes_from_is_not_its_content(name, other):
    assert wide(**{name: other}) == wide()


def test_mixing_is_the_output_of_splitmix64():
    # The first outputs of the published generator for seed 0, whose state goes up by the golden ratio.
    states = np.arange(4, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    assert [f"{word:016x}" for word in mixed(states)] == [
        "e220a8397b1dcdaf", "6e789e6aa1b965f4", "06c45d188009454f", "f88bb8a8724c81ec",
    ]  # fmt: skip
    assert [f"{word:016x}" for word in mixed(np.array([2**64 - 1], np.uint64))] == ["e4d971771b652c20"]
