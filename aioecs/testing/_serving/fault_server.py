"""The HTTP server: AWS JSON 1.1 on `POST /`, scripted faults, and administration on `/_aioecs/`.

A request whose body has been read takes effect, even if its caller disconnects. GET /_aioecs/health and
/_aioecs/truth answer JSON, and POST /_aioecs/faults replaces the script of faults; the last two require the header
X-Aioecs-Admin (with any value), and every request requires a Host that is the server's.
"""

from __future__ import annotations

import asyncio
import errno
import json
import ssl
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from aiohttp import web

from aioecs.testing._access import ADMIN_HEADER, host_name, is_allowed_host
from aioecs.testing._errors import AwsError
from aioecs.testing._faults import Fault, FaultScript, faults_from_json
from aioecs.testing._serving import responses
from aioecs.testing._serving.backend import Backend, Incoming, Reply, operation_of

dump = json.JSONEncoder(separators=(",", ":")).encode
_CLOSING = 0.2  # how long connections may take to end when the server closes, in seconds; all of ours end at once


class LocalECSError(OSError):
    """The local ECS, or the fault proxy, can't listen: names the address and the reason."""


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


class FaultServer:
    """Serves a backend on one address, with faults. `close` leaves no task and no socket behind."""

    def __init__(self, backend: Backend, faults: FaultScript, hosts: Iterable[str] = ()) -> None:
        self._backend = backend
        self._hosts = {host.lower() for host in hosts}
        self._faults = faults
        self._closing = False
        self._http = _Http(self._handle)
        self._handling: set[asyncio.Task[object]] = set()
        self._listener: asyncio.Server | None = None
        self._responder = responses.Responder()

    async def open(self, host: str, port: int, ssl_context: ssl.SSLContext | None = None) -> tuple[str, int]:
        """Listen, and return the address; port 0 chooses a free one.

        Raises:
            LocalECSError: it can't listen on the address.
        """
        loop = asyncio.get_running_loop()
        try:
            self._listener = await loop.create_server(self._http, host, port, ssl=ssl_context, backlog=1024)
        except (OSError, OverflowError) as error:
            raise _listen_error(self._backend.name, host, port, error) from error
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
        await self._end_requests()
        await self._listener.wait_closed()

    async def _end_requests(self) -> None:
        """Cancel the requests that the backend still executes; their callers may be gone."""
        for task in self._handling:
            task.cancel()
        if self._handling:
            await asyncio.wait(self._handling)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Handle a request, in a task that the server knows."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 a coroutine of aiohttp runs in one
        self._handling.add(task)
        try:
            return await self._respond(request)
        finally:
            self._handling.discard(task)

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        if not is_allowed_host(request.headers.get("Host"), self._hosts):
            return self._reject_host(request)
        if request.path != "/" or request.method != "POST":
            return await self._admin(request)
        operation = operation_of(request.headers)
        fault = self._faults.take(operation)
        if fault is not None and fault.when == "unread":
            self._backend.record_not_executed(operation, {}, fault.kind)
            return await self._apply_fault(request, fault, operation, None)
        responses.ask_for_body(request)
        try:
            incoming = self._backend.accept(request.headers, request.raw_headers, await request.read())
        except AwsError as error:
            return self._refuse(error)
        except (OSError, web.RequestPayloadError):
            return web.Response()  # the caller disconnected while sending; nobody reads this
        if fault is None:
            return self._answer(request, await self._backend.execute(incoming, None))
        return await self._handle_fault(request, incoming, fault)

    async def _handle_fault(self, request: web.BaseRequest, incoming: Incoming, fault: Fault) -> web.StreamResponse:
        if fault.kind == "delay":
            return await self._delayed(request, incoming, fault)
        if fault.when == "before":
            self._backend.record_not_executed(incoming.operation, incoming.request, fault.kind)
            return await self._apply_fault(request, fault, incoming.operation, None)
        reply = await self._backend.execute(incoming, fault.kind)
        self._backend.record_unanswered(reply.call)
        return await self._apply_fault(request, fault, incoming.operation, reply)

    async def _delayed(self, request: web.BaseRequest, incoming: Incoming, fault: Fault) -> web.StreamResponse:
        """Delay the effect or the answer. It takes effect even if the caller disconnects, unless the server closes."""
        reply = await self._backend.execute(incoming, fault.kind) if fault.when == "after" else None
        await self._pause(request, fault.seconds, even_disconnected=reply is None)
        if self._closing:
            if reply is not None:
                self._backend.record_unanswered(reply.call)
            return responses.close(request)
        return self._answer(request, reply or await self._backend.execute(incoming, fault.kind))

    async def _apply_fault(
        self, request: web.BaseRequest, fault: Fault, operation: str, reply: Reply | None
    ) -> web.StreamResponse:
        """Respond as the fault says, never with the normal answer."""
        match fault.kind:
            case "hang":
                await self._pause(request, fault.seconds)
                return responses.close(request)
            case "reset":
                return responses.reset(request)
            case "close":
                return responses.close(request)
            case "truncated":
                return responses.truncate(request, reply)
            case "garbage":
                return responses.garbage()
            case "empty":
                return self._responder.respond(Reply(200, b""))
            case "throttle":
                return self._refuse(self._backend.throttle(operation))
            case "mutated" if reply is not None:
                return self._responder.respond(responses.mutated(reply, fault.find, fault.replace))
            case _:
                return self._refuse(AwsError(fault.code, fault.message, fault.status))

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

    def _answer(self, request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
        transport = request.transport
        if transport is None or transport.is_closing():
            self._backend.record_unanswered(reply.call)
        return self._responder.respond(reply)

    def _refuse(self, error: AwsError) -> web.Response:
        return self._responder.respond(Reply(error.status, dump(error.body()).encode()))

    def _reject_host(self, request: web.BaseRequest) -> web.Response:
        name = host_name(request.headers.get("Host", ""))[:100]
        text = (
            f"{self._backend.name} accepts requests to an address or localhost, not to {name!r}. To accept that name, "
            "pass it as hosts=, or as --allow-host on the command line."
        )
        return self._refuse(AwsError("AccessDeniedException", text, 403))

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
        return web.json_response(self._backend.truth_as_json())

    def _replace_faults(self, body: bytes) -> web.Response:
        """Replace the script of faults; the body is read as UTF-8, whatever charset the request names."""
        try:
            faults = faults_from_json(body.decode())
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        self._faults.set(faults)
        return web.json_response({"faults": len(faults)})


def _listen_error(name: str, host: str, port: int, error: OSError | OverflowError) -> LocalECSError:
    number = error.errno if isinstance(error, OSError) else errno.EINVAL
    reason = "the address is in use" if number == errno.EADDRINUSE else getattr(error, "strerror", None) or str(error)
    return LocalECSError(number, f"{name} can't listen on {host}:{port}: {reason}")
