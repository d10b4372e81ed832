"""What runs and waits, for everybody who watches it on the page."""
