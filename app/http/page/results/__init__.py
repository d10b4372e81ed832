"""The gallery, the page of each result, its files, and what can be done with it."""
