"""The Dagster layer, one module a stage; it wires, and computes nothing."""
