"""How tasks use the store: one writer commits for all of them, and waits while the disk is full."""
