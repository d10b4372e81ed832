"""Paints the simulator's images."""
