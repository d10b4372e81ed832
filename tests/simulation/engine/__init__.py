"""A modelled engine for the simulated world. What a real one does is tested with a real one, in `tests/engine/`."""
