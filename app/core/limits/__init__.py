"""How much people may ask for: usage, budgets, and what moderators decided."""
