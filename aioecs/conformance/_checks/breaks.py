"""What a start leaves behind whose answer is lost: by a reset connection, or by a client that leaves."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from aioecs.conformance._calls import Answer, Blocked, NoAnswer, send_once, single_attempts
from aioecs.conformance._context import Context
from aioecs.testing import Fault, FaultProxy, FaultProxyError

_CONNECT = 10.0  # seconds


async def reset(context: Context) -> None:
    """Start a task through a fault proxy that resets the connection when ECS has answered."""
    token, setup = context.new_token(), context.setup
    proxy = FaultProxy(setup.endpoint, [Fault("reset", when="after")], region=setup.region, profile=setup.profile)
    try:
        async with proxy, context.connect(**proxy.client_kwargs(), config=single_attempts()) as ecs:
            seen = await _outcome(context, token, ecs)
            context.add_tasks([task.arn for task in proxy.truth.tasks()])
    except FaultProxyError as error:
        raise Blocked(f"the fault proxy can't be used: {error}") from error
    call = proxy.truth.calls("StartTask")[0]
    if not call.tasks:
        raise Blocked(f"ECS started nothing: {call.error or call.failures}")
    found = await context.find(token)
    context.add_finding(
        "break.reset", isinstance(seen, NoAnswer) and len(found) == 1, f"{seen}; tasks found: {len(found)}"
    )


async def _outcome(context: Context, token: str, ecs: Any) -> Answer | NoAnswer:
    try:
        return await context.start([context.setup.instances[0]], token, ecs=ecs)
    except NoAnswer as error:
        return error


class _Captured(Exception):
    """Ends a call before anything is sent. request: what botocore would have sent."""

    def __init__(self, request: Any) -> None:
        super().__init__("captured")
        self.request = request


def _capture(request: Any, **_: Any) -> None:
    raise _Captured(request)


async def disconnect(context: Context) -> None:
    """Send a start, leave once its last byte is written, and look for its task."""
    token = context.new_token()
    request = await _signed_start(context, token)
    context.reserve(1)
    context.open_tokens.add(token)
    try:
        await asyncio.wait_for(_send_and_leave(request), _CONNECT)
    except (OSError, TimeoutError) as error:
        raise Blocked(f"no direct connection to {context.setup.endpoint}: {type(error).__name__}") from error
    finally:
        context.reserved -= 1
    context.requests += 1
    found = await context.find(token)
    context.add_finding("break.disconnect", len(found) == 1, f"tasks found: {len(found)}")


async def _signed_start(context: Context, token: str) -> Any:
    """Return a StartTask as botocore signs it."""
    setup = context.setup
    async with context.connect(config=single_attempts()) as ecs:
        ecs.meta.events.register("before-send.ecs.StartTask", _capture)
        members = {"taskDefinition": setup.task_definition, "containerInstances": [setup.instances[0]]}
        try:
            await send_once(ecs, "start_task", cluster=setup.cluster, startedBy=token, **members)
        except _Captured as captured:
            return captured.request
    raise Blocked("the request could not be captured before it was sent")


async def _send_and_leave(request: Any) -> None:
    """Write a request to a connection of its own, and close that at once."""
    parts = urlsplit(request.url)
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or (443 if tls else 80)
    body = request.body.encode() if isinstance(request.body, str) else bytes(request.body)
    headers = {str(name): _text(value) for name, value in request.headers.items()}
    headers |= {"Host": parts.netloc, "Content-Length": str(len(body)), "Connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    _, writer = await asyncio.open_connection(parts.hostname, port, ssl=tls)
    try:
        writer.write(f"POST / HTTP/1.1\r\n{head}\r\n".encode() + body)
        await writer.drain()
    finally:
        writer.close()
    with suppress(OSError):  # the server may reset it; the request has been written
        await writer.wait_closed()


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
