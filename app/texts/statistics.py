"""Sentences about measured runs."""

from __future__ import annotations

NO_RUNS = "No job has run here yet."


def accuracy_text(jobs: int, right: int, overtaken: int) -> str:
    """How right expected starts were, and how many jobs do not count because later ones overtook them."""
    others = f" {overtaken} more were overtaken by later jobs." if overtaken else ""
    if not jobs:
        return f"No start of a waiting job was expected and measured yet.{others}"
    return f"Expected starts: {right} of {jobs} were right within 3 s or a quarter of the wait.{others}"
