"""The pure core: jobs, their states, and what to believe about servers. No I/O, no clock, no tasks."""
