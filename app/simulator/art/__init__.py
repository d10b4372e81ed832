"""Painting the simulator's pictures."""
