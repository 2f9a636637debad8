"""Measurements that people may quote; each writes its rows to `benchmarks/results/`."""
