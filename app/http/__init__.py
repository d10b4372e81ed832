"""What the bot tells those who operate it, by HTTP: whether it is well, and its figures."""
