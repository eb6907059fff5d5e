"""Feature families: pure functions from `futures_continuous_1d` to one row per (symbol, trade date)."""
