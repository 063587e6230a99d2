"""The witness: a body that is seen being written, and is written once."""

from __future__ import annotations

import selectors

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import BytesPayload

from aioecs._transport.transport import SendNotAllowed, SentMarker


class MarkedBody(BytesPayload):
    """A request's body that tells its witness before its first byte is written, and is written once at most."""

    def __init__(self, body: bytes, sent_marker: SentMarker) -> None:
        super().__init__(body)
        self._sent_marker = sent_marker
        self.refused: SentTwice | SendNotAllowed | None = None
        """Set once it was asked for too late, or a second time: what came since is no word about the request."""

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write it, once."""
        _reject_unsolicited_data(writer)
        self._begin_once()
        await super().write(writer)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write it, once."""
        _reject_unsolicited_data(writer)
        self._begin_once()
        await super().write_with_length(writer, content_length)

    async def as_bytes(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """Hand it over whole: whoever asks may send it."""
        self._begin()
        return await super().as_bytes(encoding, errors)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Hand it over as text: whoever asks may send it."""
        self._sent_marker.body_started = True
        return super().decode(encoding, errors)

    def _begin_once(self) -> None:
        self.reject_second_write()
        self._begin()

    def _begin(self) -> None:
        try:
            self._sent_marker.begin_body()
        except SendNotAllowed as late:
            self.refused = late
            raise

    def reject_second_write(self) -> None:
        """Raise SentTwice if it is on the wire already."""
        if self._sent_marker.body_started:
            self.refused = SentTwice("aioecs sends a request once; something beneath it tried to send it again")
            raise self.refused


def _reject_unsolicited_data(writer: AbstractStreamWriter) -> None:
    """Raise AnsweredUnasked if something has come on the connection: it would be taken for this request's answer.

    Over TLS what has come may be the other side's keys, so only plain HTTP can tell.
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
            raise UnsolicitedData("the connection was closed, or spoke before it was asked")


class UnsolicitedData(ConnectionError):
    """Bytes that nobody asked for, or the other side's goodbye, came before the request was written."""


class SentTwice(ConnectionError):
    """A redirect or a foreign retry handler tried to send a request again."""
