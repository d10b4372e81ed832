"""Everything that runs in hikari's loop, as far as it is new: the connection to Discord, and the one listener."""
