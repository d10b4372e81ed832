"""Which job runs where and when: whose turn it is, what it is charged, and which servers are on."""
