"""Makes the library's client for an engine."""

from __future__ import annotations

import ssl

from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from coredis import Redis
from coredis.connection import TCPConnection, TCPLocation
from coredis.pool import ConnectionPool
from coredis.retry import NoRetryPolicy

from app.config.engine import EngineSettings

CONNECT_SECONDS = 5.0
"""Seconds for name lookup, TCP, TLS and the login."""


class EngineSocket(TCPConnection):
    """A connection that also closes its streams if it was never established, which coredis 6.9 does not."""

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Run the connection until it ends."""
        try:
            await super().run(task_status=task_status)
        finally:
            self._write_buffer_in.close()
            self._write_buffer_out.close()
            self._push_message_buffer_in.close()
            self._push_message_buffer_out.close()
            self._streamed_message_buffer_in.close()
            self._streamed_message_buffer_out.close()


def tls_of(settings: EngineSettings) -> ssl.SSLContext | None:
    """The TLS context, None without TLS. Raises `OSError` for a CA file that cannot be read."""
    return ssl.create_default_context(cafile=settings.ca_file or None) if settings.tls else None


def new_client(settings: EngineSettings, tls: ssl.SSLContext | None) -> Redis[bytes]:
    """A client that connects in its block, and tries nothing twice."""
    pool = ConnectionPool[EngineSocket](
        connection_class=EngineSocket,
        location=TCPLocation(settings.host, settings.port),
        username=settings.username or None,
        password=settings.password or None,
        db=settings.database,
        connect_timeout=CONNECT_SECONDS,
        ssl_context=tls,
    )
    return Redis(connection_pool=pool, retry_policy=NoRetryPolicy(), verify_version=False)
