"""Cancels a call twice, each time by another kind of cancel: by a token, a scope, the caller's task, a scope around."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from aioecs import CancelToken, StartCancelled, find_start_error

FIRST, SECOND = 0.5, 1.5
"""When a call is cancelled, in seconds after it was made."""


async def cancelled_twice(
    call: Callable[[dict[str, Any]], Awaitable[Any]], first: str, second: str = ""
) -> tuple[float, BaseException, StartCancelled]:
    """Cancel a call, which takes options; return how long it took, what it raised, and the StartCancelled of that.

    Kinds of cancels: token, scope, task, enclosing scope, and as the first also timeout, and entered scope: one that is
    around the call and passed to it.
    """
    loop = asyncio.get_running_loop()
    sources: dict[str, Any] = {"token": CancelToken(), "scope": anyio.CancelScope()}
    options: dict[str, Any] = {"cancel_scope": sources.get(first, sources.get(second))}
    if first == "timeout":
        options["timeout"] = FIRST
    around = anyio.CancelScope()
    if first == "entered scope":
        sources[first] = options["cancel_scope"] = around
    raised: list[BaseException] = []

    async def caller() -> None:
        with around:
            try:
                await call(options)
            except BaseException as error:
                raised.append(error)
                raise

    began = loop.time()
    calling = asyncio.create_task(caller())
    cancels = {kind: source.cancel for kind, source in sources.items()}
    cancels |= {"task": calling.cancel, "enclosing scope": around.cancel}
    for kind, after in ((first, FIRST), (second, SECOND)):
        if kind in cancels:
            loop.call_later(after, cancels[kind])
    await asyncio.wait([calling])
    took = loop.time() - began
    assert calling.cancelled() or calling.exception() in (None, raised[0])
    start_error = find_start_error(raised[0])
    assert isinstance(start_error, StartCancelled)
    return took, raised[0], start_error
