"""Requests for a task: which model, which workflow, and which values they mean."""
