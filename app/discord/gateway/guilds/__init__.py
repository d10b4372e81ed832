"""Facts about Discord servers: their channels and roles, who may see what, and what changes."""
