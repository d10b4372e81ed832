"""Graphs that start from the picture that another graph made."""
