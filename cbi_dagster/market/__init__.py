"""Sessions, bars and rolls: from vendor bars to one continuous series per product. Pure functions."""
