"""Which workflows people can use, and what keeps a server from running one."""
