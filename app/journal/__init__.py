"""The memory of the house: in memory for one command, in SQLite for the bot."""
