"""What several processes share through an engine, Valkey or Redis. coredis, an extra, is imported only here.

Nobody imports this package unless an engine is configured, so a single process pays nothing for it.
"""
