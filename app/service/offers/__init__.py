"""Which workflows are offered, on which servers, with which choices."""
