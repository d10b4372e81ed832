"""The commands `check` and `doctor`: what would keep the bot from working."""
