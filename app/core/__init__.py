"""The pure core: jobs, their states, and the state of each server. No I/O, no clock, no tasks."""
