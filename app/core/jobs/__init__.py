"""Jobs: what may happen to one, all of them, what they cost, and what came of them."""
