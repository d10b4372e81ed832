"""The command `generate`: makes pictures without Discord."""
