"""The manifest of a workflow: its schema, and how it is read and written."""
