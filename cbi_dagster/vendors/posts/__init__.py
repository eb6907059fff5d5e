"""Posts of policy: files of them, what is covered of their sources, and where they come from."""
