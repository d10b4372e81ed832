"""Logging in, with Discord or by a link of the bot."""
