"""Backups of the data folder: made while the bot runs, verified, and restored into an empty folder."""
