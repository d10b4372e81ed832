"""Copies of a journal: in backups, and at fronts that follow the active one."""
