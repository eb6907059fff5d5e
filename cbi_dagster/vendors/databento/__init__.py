"""Databento: what its files say, and the screening and merging of their bars."""
