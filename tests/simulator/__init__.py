"""The simulator, against what was recorded and in both of its faces."""
