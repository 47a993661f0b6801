"""Benchmarks: each prints a table and judges nothing."""
