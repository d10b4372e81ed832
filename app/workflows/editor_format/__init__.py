"""Reads the editor's own format and converts it to API format."""
