"""Code that runs in hikari's event loop: the connection to Discord, and the one listener for interactions."""
