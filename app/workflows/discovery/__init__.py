"""The slots of a graph, found by what it says of itself, and written as a manifest."""
