"""What intake costs, beside bare DuckDB and hand-written SQL on the same files."""
