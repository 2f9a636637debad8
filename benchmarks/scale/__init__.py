"""What the marts cost at tens of millions of decisions, beside hand-written SQL."""
