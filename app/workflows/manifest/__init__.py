"""The manifest of a workflow: its schema, parser and writer."""
