"""A market whose truth is known, for the demo, the tests and the benchmarks."""

from governance_pipeline.simulation.simulate import simulate

__all__ = ["simulate"]
