"""The long-running tasks: each is a class with one `run` method, and other tasks hold only its handle."""
