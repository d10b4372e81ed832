"""The simulator's queue, cache and execution."""
