"""Whose turn it is: waiting jobs by person, and what people are charged."""
