"""How a connection ends, and what is written to it: normal responses, and those that break HTTP or JSON on purpose."""

from __future__ import annotations

import re
import socket
import struct
from http.client import responses as PHRASES  # noqa: N812 a constant
from uuid import UUID

from aiohttp import web

from aioecs.testing._serving.backend import Reply

CONTENT_TYPE = "application/x-amz-json-1.1"
_HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
_CUT = b'{"tasks":[{"taskArn":"arn:aws:ecs:'
_CUT_LENGTH = 4096  # what is announced for it, in bytes


class Responder:
    """Makes responses, each with a request id of its own."""

    def __init__(self) -> None:
        self._requests = 0

    def respond(self, reply: Reply) -> web.Response:
        """Return the response for a reply."""
        headers = self._own_headers() if reply.headers is None else reply.headers
        return web.Response(status=reply.status, body=reply.body, headers=headers)

    def _own_headers(self) -> tuple[tuple[str, str], ...]:
        """Return the headers of a response of the service; aiohttp adds Date."""
        self._requests += 1
        return ("Content-Type", CONTENT_TYPE), ("x-amzn-RequestId", str(UUID(int=self._requests, version=4)))


def ask_for_body(request: web.BaseRequest) -> None:
    """Answer 100 Continue to a client that waits for it before it sends the body."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def reset(request: web.BaseRequest) -> web.Response:
    """Reset the connection: with SO_LINGER 0 a close sends RST instead of FIN."""
    if request.transport is not None:
        raw = request.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response()


def close(request: web.BaseRequest) -> web.Response:
    """Close the connection; aiohttp finds it closed and writes nothing."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


def truncate(request: web.BaseRequest, reply: Reply | None) -> web.Response:
    """Announce a longer body than is sent, then close. A reply is cut in its middle; without one it is made up."""
    status, whole = (200, b"") if reply is None else (reply.status, reply.body)
    cut, length = (whole[: len(whole) // 2], len(whole)) if len(whole) > 1 else (_CUT, _CUT_LENGTH)
    if request.transport is not None:
        line = f"HTTP/1.1 {status} {PHRASES.get(status, 'Status')}"
        head = f"{line}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {length}\r\n\r\n"
        request.transport.write(head.encode() + cut)
        request.transport.close()
    return web.Response()


def garbage() -> web.Response:
    """Return a page of a proxy that answers 200."""
    return web.Response(body=_HTML, content_type="text/html")


def mutated(reply: Reply, find: str, replace: str) -> Reply:
    """Return a reply with every match of a regular expression in its body replaced."""
    text = re.sub(find, replace, reply.body.decode("utf-8", "surrogateescape"))
    return Reply(reply.status, text.encode("utf-8", "surrogateescape"), reply.headers, reply.call)
