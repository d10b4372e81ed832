"""TLS settings for https and wss."""

from __future__ import annotations

import ssl

from app.config.settings import Server


def tls_context(server: Server) -> ssl.SSLContext:
    """The TLS context for a server's configuration. Raises `OSError` for a CA file that cannot be read."""
    if not server.url.startswith("https:"):
        # Never used, because redirects are not followed; loading the system's authorities takes 20 ms.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = ssl.create_default_context(cafile=server.ca_file or None)
    if not server.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
