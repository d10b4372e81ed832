"""Benchmarks: they print figures as JSON, medians and ratios against a baseline of the same run."""
