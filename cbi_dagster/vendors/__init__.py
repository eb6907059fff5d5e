"""How data comes in: what vendors deliver, checked and brought into the platform's shape."""
