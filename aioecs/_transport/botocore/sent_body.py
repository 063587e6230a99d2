"""A request's body that marks when it is written, and refuses to be written twice."""

from __future__ import annotations

import selectors
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import BytesPayload

from aioecs._transport.transport import SendNotAllowed, SentMarker

_USED: WeakSet[Any] = WeakSet()
"""The ssl.SSLObject of each connection to which a request was written."""


class MarkedBody(BytesPayload):
    """A request's body that sets its `SentMarker` before its first byte is written, and is written at most once."""

    def __init__(self, body: bytes, sent_marker: SentMarker, on_begin: Callable[[], object] = lambda: None) -> None:
        """Take the body, and what is called right before it counts as begun; if that raises, nothing is sent."""
        super().__init__(body)
        self._sent_marker = sent_marker
        self._on_begin = on_begin
        self.tls: Any = None
        """The ssl.SSLObject of the connection that the body was written to as its first; None for others."""
        self.refused: SentTwice | SendNotAllowed | None = None
        """The last refusal to write the body. An outcome that aiobotocore reports after it doesn't count."""

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the body; raise SentTwice if it was written before."""
        _reject_unsolicited_data(writer)
        self._begin_once()
        self.tls = _unused_tls(writer)
        await super().write(writer)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write the body; raise SentTwice if it was written before."""
        _reject_unsolicited_data(writer)
        self._begin_once()
        self.tls = _unused_tls(writer)
        await super().write_with_length(writer, content_length)

    async def as_bytes(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """Return the body, and count it as sent: the caller may send it."""
        self._begin()
        return await super().as_bytes(encoding, errors)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the body as text, and count it as sent: the caller may send it."""
        self._sent_marker.body_started = True
        return super().decode(encoding, errors)

    def _begin_once(self) -> None:
        self.reject_second_write()
        self._begin()

    def _begin(self) -> None:
        try:
            self._on_begin()
            self._sent_marker.begin_body()
        except SendNotAllowed as refused:
            self.refused = refused
            raise

    def reject_second_write(self) -> None:
        """Raise SentTwice if the body was written before."""
        if self._sent_marker.body_started:
            self.refused = SentTwice(
                "aioecs sends a request once; a library or handler beneath it tried to send it again"
            )
            raise self.refused


def _unused_tls(writer: AbstractStreamWriter) -> Any:
    """Return the ssl.SSLObject of a connection to which no request was written before, and note that one is now."""
    transport = getattr(writer, "transport", None)
    tls = transport.get_extra_info("ssl_object") if transport is not None else None
    if tls is None or tls in _USED:
        return None
    _USED.add(tls)
    return tls


def _reject_unsolicited_data(writer: AbstractStreamWriter) -> None:
    """Raise UnsolicitedData if bytes wait on the connection: they would be read as this request's answer.

    Only plain HTTP can be checked: over TLS the bytes may belong to the TLS protocol, such as session tickets.
    """
    transport = getattr(writer, "transport", None)
    if transport is None or transport.get_extra_info("ssl_object") is not None:
        return
    raw_socket = transport.get_extra_info("socket")
    if raw_socket is None or raw_socket.fileno() < 0:
        return
    with selectors.DefaultSelector() as selector:
        selector.register(raw_socket.fileno(), selectors.EVENT_READ)
        if selector.select(0):
            raise UnsolicitedData("the server closed the connection, or sent data before the request")


class UnsolicitedData(ConnectionError):
    """The server sent data, or closed the connection, before the request was written."""


class SentTwice(ConnectionError):
    """A redirect or somebody else's retry handler tried to send a request again."""
