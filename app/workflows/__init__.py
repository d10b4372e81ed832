"""A graph and its named inputs: load, audit, bind. Pure, but for reading files."""
