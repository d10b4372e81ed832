"""Interactions: the commands that exist, and everything that people do with them, forms and buttons."""
