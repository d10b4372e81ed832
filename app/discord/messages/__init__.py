"""One live message for each job: where it is, and how updates reach it."""
