"""Labels, splits and training frames. Pure functions; the only place where a row looks into the future."""
