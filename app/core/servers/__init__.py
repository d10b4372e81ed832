"""The state of each server: what it is running, whether it rests or is on, and what it can run."""
