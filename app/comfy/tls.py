"""Whom to trust, for https and wss alike."""

from __future__ import annotations

import ssl

from app.config import Server


def tls_context(server: Server) -> ssl.SSLContext:
    """What the configuration says about certificates. Raises `OSError` for an unreadable CA file."""
    if not server.url.startswith("https:"):
        # Never used, for redirects are not followed; and loading the system's authorities takes 20 ms.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = ssl.create_default_context(cafile=server.ca_file or None)
    if not server.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
