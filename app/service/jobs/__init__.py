"""Jobs that are made and made again, what follows on them, and what they wait for."""
