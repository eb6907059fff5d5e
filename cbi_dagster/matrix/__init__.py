"""From feature families to the matrix: regimes, quality gates, STRUCTs. Pure functions."""
