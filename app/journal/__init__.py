"""The journal of jobs: in memory for a single command, in SQLite for the bot."""
