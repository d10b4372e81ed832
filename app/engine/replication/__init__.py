"""One active front and others on standby: the lease, the journal's batches, and whole copies of it."""
