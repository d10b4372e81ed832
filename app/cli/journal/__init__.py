"""The commands that read the journal, or leave a request for the bot in it."""
