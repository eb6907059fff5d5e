import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def landed():
    """Landed bars: (Chicago start, symbol, instrument, session's instrument, open, high, low, close, volume)."""

    def make(rows, *, covered=True):
        frame = pd.DataFrame(
            rows,
            columns=[
                "at",
                "symbol",
                "instrument_id",
                "session_instrument_id",
                "open",
                "high",
                "low",
                "close",
                "volume",
            ],
        )
        local = pd.to_datetime(frame.pop("at")).dt.tz_localize("America/Chicago")
        frame["ts_event"] = local.dt.tz_convert("UTC").astype("datetime64[ns, UTC]")
        frame["date"] = (local.dt.tz_localize(None) + pd.Timedelta(hours=7)).dt.normalize()
        frame["root"] = frame["symbol"].str.extract(r"^(MES|[A-Z0-9]{2})", expand=False)
        frame["session_instrument_id"] = frame["session_instrument_id"].astype("Int64")
        return frame.assign(
            session_covered=covered,
            decision_covered=covered,
            publisher_id=1,
            dataset="GLBX.MDP3",
            source_file="f",
            source_row=np.arange(len(frame)),
        )

    return make
