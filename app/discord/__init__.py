"""The front door: Discord, through hikari and lightbulb."""
