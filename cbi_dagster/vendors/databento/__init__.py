"""Databento: deliveries, the screening of their bars, and landing them in a warehouse."""
