"""The editor's own format, read and turned into API format."""
