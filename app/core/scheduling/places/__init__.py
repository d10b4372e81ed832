"""Which servers have a place for a job, and which are spared."""
