"""Changes of the program that the suite must notice: a table of them, and a runner that shows each to its tests."""
