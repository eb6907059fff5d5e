"""CBI Dagster: a point-in-time feature platform for futures, built from partitioned Dagster assets.

from cbi_dagster import load_training_frame

frame = load_training_frame("ZL", "1w", split="train")
model.fit(frame.X, frame.y, sample_weight=frame.weight)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cbi_dagster.api import load_features, load_training_frame, open_warehouse, walk_forward

__version__ = "0.1.0"
__all__ = ["load_features", "load_training_frame", "open_warehouse", "walk_forward"]


def __getattr__(name: str) -> Any:
    # On first use: whoever needs another part of the package does not wait for pandas.
    if name in __all__:
        from cbi_dagster import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
