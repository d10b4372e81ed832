"""Where jobs are in line, when they start and why they wait, as people see it."""
