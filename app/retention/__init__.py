"""Deletes what is old: jobs in the journal, and files of results and attachments."""
