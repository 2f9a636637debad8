"""ACCURACY section 10, measured: seeded streams through the product's own functions."""
