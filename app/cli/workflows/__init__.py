"""`python -m app workflows`."""
