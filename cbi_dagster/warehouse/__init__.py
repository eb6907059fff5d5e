"""Where tables live: the contract every engine keeps, the DuckDB engine, content hashes, the ledger and the plan."""
