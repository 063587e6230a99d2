"""responses: headers of a response, and bodies that are changed. How connections end is in test_server."""

from __future__ import annotations

from aioecs.testing._serving.backend import Reply
from aioecs.testing._serving.responses import Responder, garbage, mutated


def test_a_response_has_the_headers_of_the_service_or_those_given() -> None:
    """Each response of the service has its own request id; given headers are kept, repeated ones too."""
    responder = Responder()
    first, second = responder.respond(Reply(200, b"{}")), responder.respond(Reply(200, b"{}"))
    assert first.headers["Content-Type"] == "application/x-amz-json-1.1"
    assert first.headers["x-amzn-RequestId"] != second.headers["x-amzn-RequestId"]
    given = responder.respond(Reply(503, b"x", (("X-A", "1"), ("X-A", "2"))))
    assert (given.status, given.body, given.headers.getall("X-A")) == (503, b"x", ["1", "2"])
    assert "x-amzn-RequestId" not in given.headers


def test_a_body_is_mutated() -> None:
    """Each match is replaced, also in a body that is not UTF-8; status, headers and call are kept."""
    reply = Reply(200, b'{"startedBy":"a1","startedBy":"b2\xff"}', (("X-A", "1"),), 7)
    changed = mutated(reply, r'"startedBy":"(.)', r'"startedBy":"\1-')
    assert changed == Reply(200, b'{"startedBy":"a-1","startedBy":"b-2\xff"}', (("X-A", "1"),), 7)


def test_garbage_is_html() -> None:
    """As a proxy's own page."""
    assert garbage().content_type == "text/html"
