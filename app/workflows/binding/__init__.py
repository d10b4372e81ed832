"""From a workflow and a person's values to job requests."""
