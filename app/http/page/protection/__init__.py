"""What keeps strangers out: addresses, sessions, signed texts, limits and headers."""
