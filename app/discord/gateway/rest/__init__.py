"""Requests to Discord's REST API, through hikari."""
