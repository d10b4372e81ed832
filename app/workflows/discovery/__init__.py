"""Finds the slots of a graph from its app mode, titles, node classes, links and input names."""
