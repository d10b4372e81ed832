"""The command line: the application without Discord, with output as a live table, plain lines, or JSON."""
