"""Checks for a cancel of a caller that has no start in flight: before a call, in a read, behind a call of its key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

import anyio

from aioecs._calls.call import Call
from aioecs._calls.caller_wait import refuse_if_cancelled
from aioecs._logic.calls.call_record import CallRecord
from aioecs._logic.calls.call_result import cancelled
from aioecs._runtime.cancellation_monitor import CancellationMonitor, Source, resolve
from aioecs.errors import CallCancelled, CallTimeout

T = TypeVar("T")


def may_have_fired(loop: asyncio.AbstractEventLoop, source: Source | None, scope_deadline: float) -> bool:
    """Return whether `refuse_if_cancelled` could raise; the scopes around the caller end at `scope_deadline`.

    To look the running loop up, Python 3.11 makes a system call.
    """
    task = asyncio.current_task(loop)
    return source is not None or scope_deadline == float("-inf") or (task is not None and task.cancelling() > 0)


def call_cancelled(what: str, reason: str | None, source: object) -> CallCancelled:
    """Return the error of a cancelled caller that started nothing; `what` says what is known."""
    why = f" ({reason})" if reason else ""
    return CallCancelled(f"cancelled{why}: {what}", reason=reason, source=source)


async def abandonable(operation: str, source: Source, read: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Read, and abandon the read at once when the scope or token fires.

    Raises:
        CallCancelled: it fired.
        CancelledError: the caller is cancelled otherwise.
    """
    cancelled_error = partial(call_cancelled, f"{operation} was abandoned; it changes nothing")
    while True:
        await refuse_if_cancelled(source, cancelled_error)
        with anyio.CancelScope() as reading, CancellationMonitor.here().watch(source, reading.cancel):
            return await read()


async def until_over(loop: asyncio.AbstractEventLoop, call: Call, record: CallRecord, source: Source | None) -> None:
    """Wait until a withdrawn call of the same key has ended: its tasks may be about to be stopped.

    Raises:
        StartCancelled, CancelledError: as `refuse_if_cancelled` does.
        CallTimeout: the clock of the waiting call ran out; nothing was sent.
    """
    waiter = call.end_waiter()
    clock = loop.call_at(record.deadline, resolve, waiter)
    try:
        with CancellationMonitor.here().watch(source, partial(resolve, waiter)):
            await waiter
    except asyncio.CancelledError as first:
        raise first from cancelled(record, None, None)
    finally:
        clock.cancel()
    await refuse_if_cancelled(source, partial(cancelled, record))
    if not call.ended:
        raise CallTimeout(
            "a cancelled call with the same key has not ended yet; nothing was sent",
            starts=record.starts(),
            token=record.token,
        )
