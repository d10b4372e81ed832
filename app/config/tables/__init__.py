"""The tables of atelier.toml: one reader for each, or for those of one subject."""
