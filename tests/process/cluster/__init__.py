"""Fronts, workers, Valkey, a fake Discord and simulators together, and what can happen to each of them."""
