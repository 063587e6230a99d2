"""Recognizes a server that may have closed a connection because it wants a client certificate.

In TLS 1.3 the client learns of that only after the handshake, by an alert, and the server may reset the connection so
soon that the alert is never read. Then it can't be known whether the server read the request. But what is known fits:
the connection was reset before its first answer, and before session tickets, which servers send to those they accept.
"""

from __future__ import annotations

import errno
from typing import Any

from aioecs._transport.redaction import error_chain

HINT = (
    "the server closed the connection right after the TLS handshake: it may want a client certificate, or another one "
    "(config.client_cert)"
)
_RESETS = (errno.ECONNRESET, errno.EPIPE)


def may_want_certificate(tls: Any, error: BaseException | None) -> bool:
    """Return whether a server may have rejected this client by closing its TLS connection before the first answer.

    `tls` is the ssl.SSLObject of the connection, None without TLS; `error` is what ended it.
    """
    if tls is None or error is None or tls.version() != "TLSv1.3":
        return False
    if not any(isinstance(each, OSError) and each.errno in _RESETS for each in error_chain(error)):
        return False
    session = tls.session
    return session is None or not session.has_ticket
