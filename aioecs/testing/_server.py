"""The HTTP server of the engine: AWS JSON 1.1 on `POST /`, scripted faults, and administration on `/_aioecs/`.

A request whose body has been read takes effect, even if its caller disconnects. GET /_aioecs/health and
/_aioecs/truth answer JSON, and POST /_aioecs/faults replaces the script of faults; the last two require the header
X-Aioecs-Admin (with any value), and every request requires a Host that is the server's.
"""

from __future__ import annotations

import asyncio
import errno
import json
import re
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, cast
from uuid import UUID

from aiohttp import web

from aioecs.testing._access import ADMIN_HEADER, host_name, is_allowed_host
from aioecs.testing._engine import Answer, Engine, throttled
from aioecs.testing._errors import AwsError, malformed
from aioecs.testing._faults import Fault, FaultScript, faults_from_json
from aioecs.testing._operations.members import Json

TARGET = "AmazonEC2ContainerServiceV20141113."
LOGS_TARGET = "Logs_20140328."
"""Of CloudWatch Logs, which the local ECS serves for the logs of its tasks."""
CONTENT_TYPE = "application/x-amz-json-1.1"
_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)")
_HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
_dump = json.JSONEncoder(separators=(",", ":")).encode
NESTING = 64  # levels of a request's body; the deepest structure in the service model has nine
_CLOSING = 0.2  # how long connections may take to end when the server closes, in seconds; all of ours end at once


class LocalECSError(OSError):
    """The local ECS can't listen: names the address and the reason."""


class _Http(web.Server):
    """aiohttp's server, which also reports when a caller disconnects.

    aiohttp's `handler_cancellation` doesn't fit: it would abort requests that have arrived, and ECS doesn't.
    """

    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        super().__init__(handler, access_log=None, auto_decompress=False)
        self.disconnected: dict[object, asyncio.Event] = {}

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Set the event of a caller that has disconnected."""
        super().connection_lost(handler, exc)
        if handler in self.disconnected:
            self.disconnected[handler].set()


class Server:
    """Serves an engine on one address. `close` leaves no task and no socket behind."""

    def __init__(self, engine: Engine, faults: FaultScript, hosts: Iterable[str] = ()) -> None:
        self._engine = engine
        self._hosts = {host.lower() for host in hosts}
        self._faults = faults
        self._closing = False
        self._http = _Http(self._handle)
        self._listener: asyncio.Server | None = None
        self._requests = 0

    async def open(self, host: str, port: int, ssl_context: ssl.SSLContext | None = None) -> tuple[str, int]:
        """Listen, and return the address; port 0 chooses a free one.

        Raises:
            LocalECSError: it can't listen on the address.
        """
        loop = asyncio.get_running_loop()
        try:
            self._listener = await loop.create_server(self._http, host, port, ssl=ssl_context, backlog=1024)
        except (OSError, OverflowError) as error:
            raise _listen_error(host, port, error) from error
        name = self._listener.sockets[0].getsockname()
        return str(name[0]), int(name[1])

    async def close(self) -> None:
        """Stop listening and end every connection, hanging ones included."""
        if self._listener is None:
            return
        self._closing = True
        self._listener.close()
        for event in self._http.disconnected.values():
            event.set()
        self._http.pre_shutdown()
        await self._http.shutdown(_CLOSING)
        await self._listener.wait_closed()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if not is_allowed_host(request.headers.get("Host"), self._hosts):
            return self._reject_host(request)
        target = request.headers.get("X-Amz-Target", "")
        if request.path != "/" or request.method != "POST":
            return await self._admin(request)
        operation = target.removeprefix(TARGET).removeprefix(LOGS_TARGET)
        fault = self._faults.take(operation)
        if fault is not None and fault.when == "unread":
            self._engine.record_not_executed(operation, {}, fault.kind)
            return await self._apply_fault(request, fault)
        try:
            sent = _parse(await request.read(), target)
        except AwsError as error:
            return self._respond(error.status, error.body())
        except (OSError, web.RequestPayloadError):
            return web.Response()  # the caller disconnected while sending; nobody reads this
        if fault is None:
            return self._answer(request, self._execute(request, operation, sent, None))
        return await self._handle_fault(request, operation, sent, fault)

    def _execute(self, request: web.BaseRequest, operation: str, sent: Json, fault: Fault | None) -> Answer:
        authorization = request.headers.get("Authorization")
        if authorization is None:
            error = AwsError("MissingAuthenticationTokenException", "Missing Authentication Token")
            return Answer(error.status, error.body(), error.code, 0)
        key = _CREDENTIAL.search(authorization)
        return self._engine.answer(
            operation, sent, access_key=key[1] if key else None, fault=fault.kind if fault else None
        )

    async def _handle_fault(
        self, request: web.BaseRequest, operation: str, sent: Json, fault: Fault
    ) -> web.StreamResponse:
        if fault.kind == "delay":
            return await self._delayed(request, operation, sent, fault)
        if fault.when == "after":
            answer = self._execute(request, operation, sent, fault)
            self._engine.record_unanswered(answer.call)
        else:
            self._engine.record_not_executed(operation, sent, fault.kind)
        return await self._apply_fault(request, fault, operation)

    async def _delayed(self, request: web.BaseRequest, operation: str, sent: Json, fault: Fault) -> web.StreamResponse:
        """Delay the effect or the answer. It takes effect even if the caller disconnects, unless the server closes."""
        answer = self._execute(request, operation, sent, fault) if fault.when == "after" else None
        await self._pause(request, fault.seconds, even_disconnected=answer is None)
        if self._closing:
            if answer is not None:
                self._engine.record_unanswered(answer.call)
            return _close(request)
        return self._answer(request, answer or self._execute(request, operation, sent, fault))

    async def _apply_fault(self, request: web.BaseRequest, fault: Fault, operation: str = "") -> web.StreamResponse:
        """Respond as the fault says, never with the normal answer."""
        match fault.kind:
            case "hang":
                await self._pause(request, fault.seconds)
                return _close(request)
            case "reset":
                return _reset(request)
            case "close":
                return _close(request)
            case "truncated":
                return _truncate(request)
            case "garbage":
                return web.Response(body=_HTML, content_type="text/html")
            case "empty":
                return web.Response(body=b"", headers=self._headers())
            case "throttle":
                self._engine.count_throttle(operation)
                error = throttled(disguised=self._engine.behaviour.disguise_throttle)
                return self._respond(error.status, error.body())
            case _:
                return self._respond(fault.status, AwsError(fault.code, fault.message).body())

    async def _pause(self, request: web.BaseRequest, seconds: float | None, *, even_disconnected: bool = False) -> None:
        """Wait for `seconds` (None: forever), until the server closes, or until the caller disconnects.

        With `even_disconnected` it goes on waiting after the caller has disconnected.
        """
        ended = asyncio.Event()
        if self._closing or (request.transport is None and not even_disconnected):
            return
        key = ended if even_disconnected else request.protocol
        self._http.disconnected[key] = ended
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await ended.wait()
        finally:
            del self._http.disconnected[key]

    def _answer(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        transport = request.transport
        if transport is None or transport.is_closing():
            self._engine.record_unanswered(answer.call)
        return self._respond(answer.status, answer.body)

    def _respond(self, status: int, body: Json) -> web.Response:
        return web.Response(status=status, body=_dump(body).encode(), headers=self._headers())

    def _headers(self) -> dict[str, str]:
        """Return the headers of a response of the service; aiohttp adds Date."""
        self._requests += 1
        return {"Content-Type": CONTENT_TYPE, "x-amzn-RequestId": str(UUID(int=self._requests, version=4))}

    def _reject_host(self, request: web.BaseRequest) -> web.Response:
        name = host_name(request.headers.get("Host", ""))[:100]
        error = AwsError(
            "AccessDeniedException",
            f"The local ECS accepts requests to an address or localhost, not to {name!r}. To accept that name, "
            "pass it as hosts=, or as aioecs local --allow-host.",
            403,
        )
        return self._respond(error.status, error.body())

    async def _admin(self, request: web.BaseRequest) -> web.StreamResponse:
        where = request.method, request.path
        if where == ("GET", "/_aioecs/health"):
            return web.json_response({"status": "ok"})
        if where not in (("GET", "/_aioecs/truth"), ("POST", "/_aioecs/faults")):
            return web.json_response({"error": f"Nothing at {request.method} {request.path}"}, status=404)
        if ADMIN_HEADER not in request.headers:
            return web.json_response({"error": f"{request.path} requires the header {ADMIN_HEADER}"}, status=403)
        if request.method == "POST":
            return self._replace_faults(await request.read())
        return web.json_response(self._engine.truth.as_json())

    def _replace_faults(self, body: bytes) -> web.Response:
        """Replace the script of faults; the body is read as UTF-8, whatever charset the request names."""
        try:
            faults = faults_from_json(body.decode())
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        self._faults.set(faults)
        return web.json_response({"faults": len(faults)})


def _listen_error(host: str, port: int, error: OSError | OverflowError) -> LocalECSError:
    number = error.errno if isinstance(error, OSError) else errno.EINVAL
    reason = "the address is in use" if number == errno.EADDRINUSE else getattr(error, "strerror", None) or str(error)
    return LocalECSError(number, f"The local ECS can't listen on {host}:{port}: {reason}")


def _parse(body: bytes, target: str) -> Json:
    """Read the body of a request.

    Raises:
        AwsError: UnknownOperationException for the target of another service, SerializationException for a body that is
            not a JSON object.
    """
    if not target.startswith((TARGET, LOGS_TARGET)):
        raise AwsError("UnknownOperationException", "The X-Amz-Target is not one of Amazon ECS.")
    try:
        sent: Any = json.loads(body or b"{}", parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise malformed("The body is not JSON, or too deep.") from None
    if not isinstance(sent, dict):
        raise malformed("Start of structure or map found where not expected.")
    if _too_deep(sent):
        raise malformed(f"The body is nested more than {NESTING} levels deep.")
    return cast("Json", sent)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")


def _too_deep(sent: object) -> bool:
    """Return whether a value is nested deeper than any request of ECS; works without recursion."""
    level: list[object] = [sent]
    for _ in range(NESTING):
        level = [inner for outer in level if isinstance(outer, (dict, list)) for inner in _children(outer)]
        if not level:
            return False
    return True


def _children(outer: dict[str, object] | list[object]) -> Iterable[object]:
    return outer.values() if isinstance(outer, dict) else outer


def _reset(request: web.BaseRequest) -> web.Response:
    """Reset the connection: with SO_LINGER 0 a close sends RST instead of FIN."""
    if request.transport is not None:
        raw = request.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response()


def _close(request: web.BaseRequest) -> web.Response:
    """Close the connection; aiohttp finds it closed and writes nothing."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


def _truncate(request: web.BaseRequest) -> web.Response:
    """Announce a longer body than is sent, then close."""
    if request.transport is not None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: 4096\r\n\r\n"
        request.transport.write(head.encode() + b'{"tasks":[{"taskArn":"arn:aws:ecs:')
        request.transport.close()
    return web.Response()
