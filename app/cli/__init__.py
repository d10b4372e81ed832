"""The side door: the same house without Discord, as a live table, plain lines, or JSON."""
