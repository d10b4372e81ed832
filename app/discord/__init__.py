"""The Discord frontend, built on hikari and lightbulb."""
