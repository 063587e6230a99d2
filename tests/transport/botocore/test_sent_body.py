"""sent_body: the marker is set before the first byte of a body, and a body is written once."""

from __future__ import annotations

from typing import Any

import pytest

from aioecs._transport.botocore.sent_body import MarkedBody, SentTwice
from aioecs._transport.transport import SendNotAllowed, SentMarker


class Writer:
    """Records what is written, and the marker's state at each write."""

    def __init__(self, sent_marker: SentMarker) -> None:
        self.sent_marker = sent_marker
        self.seen: list[tuple[bytes, bool]] = []

    async def write(self, chunk: bytes) -> None:
        self.seen.append((bytes(chunk), self.sent_marker.body_started))


async def test_the_marker_is_set_before_the_first_byte() -> None:
    """The marker is set when anything is written."""
    for name, more in (("write", ()), ("write_with_length", (4,))):
        sent_marker = SentMarker()
        writer: Any = Writer(sent_marker)
        await getattr(MarkedBody(b"body", sent_marker), name)(writer, *more)
        assert writer.seen == [(b"body", True)]


async def test_it_is_written_once() -> None:
    """A second write is refused, kept as the reason, and writes nothing."""
    sent_marker = SentMarker()
    writer: Any = Writer(sent_marker)
    body = MarkedBody(b"body", sent_marker)
    await body.write(writer)
    with pytest.raises(SentTwice) as caught:
        await body.write(writer)
    assert body.refused is caught.value
    with pytest.raises(SentTwice):
        await body.write_with_length(writer, None)
    assert len(writer.seen) == 1


async def test_a_refused_send_writes_nothing() -> None:
    """Each way to get the body raises, keeps the reason, and leaves the marker unset."""
    for name, more in (("write", ("writer",)), ("write_with_length", ("writer", 4)), ("as_bytes", ())):
        sent_marker = SentMarker(may_send=lambda: False)
        writer = Writer(sent_marker)
        body = MarkedBody(b"body", sent_marker)
        with pytest.raises(SendNotAllowed) as caught:
            await getattr(body, name)(*(writer if each == "writer" else each for each in more))
        assert body.refused is caught.value
        assert (writer.seen, sent_marker.body_started) == ([], False)


async def test_returning_the_bytes_counts_as_sent() -> None:
    """Whoever asks for the bytes may send them."""
    sent_marker = SentMarker()
    assert await MarkedBody(b"body", sent_marker).as_bytes() == b"body"
    assert sent_marker.body_started


def test_a_new_body_is_not_started() -> None:
    """A body that was not written leaves the marker unset, and may be written."""
    sent_marker = SentMarker()
    body = MarkedBody(b"body", sent_marker)
    body.reject_second_write()
    assert not sent_marker.body_started
    assert body.refused is None


async def test_what_may_refuse_a_body_that_begins() -> None:
    """Nothing counts as sent then."""

    def too_late() -> None:
        raise SendNotAllowed("too late")

    sent_marker = SentMarker()
    body = MarkedBody(b"body", sent_marker, too_late)
    with pytest.raises(SendNotAllowed):
        await body.as_bytes()
    assert not sent_marker.body_started
    assert isinstance(body.refused, SendNotAllowed)
