"""The people who work: each is a class with one `run`, and others hold its handle."""
