"""Attempts that a fake transport begins within one step of the loop, as the native transport does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from aioecs._model.attempt import Attempt
from aioecs._model.codec.shape import Shape
from aioecs._transport.transport import AttemptInFlight, Ended, Operation, SentMarker


class BeginsAttempts:
    """A transport that begins what its `attempt` does: the request counts as written before that runs."""

    def attempt(
        self, operation: Operation[Any], request: Shape, sent_marker: SentMarker
    ) -> Coroutine[Any, Any, Attempt[Any]]:
        """Make the attempt."""
        raise NotImplementedError

    def begin(
        self, operation: Operation[Any], request: Shape, sent_marker: SentMarker, ended: Ended
    ) -> AttemptInFlight | None:
        """Begin the attempt, and report its outcome."""
        if sent_marker.may_send is not None and not sent_marker.may_send():
            return None
        sent_marker.begin_body()
        return BegunAttempt(self.attempt(operation, request, sent_marker), ended)


class BegunAttempt:
    """An attempt that is under way."""

    def __init__(self, attempt: Coroutine[Any, Any, Attempt[Any]], ended: Ended) -> None:
        self._ended: Ended | None = ended
        self._task = asyncio.get_running_loop().create_task(attempt)
        self._task.add_done_callback(self._report)

    def cut(self) -> None:
        """End it; nothing is reported."""
        self._ended = None
        self._task.cancel()

    def _report(self, task: asyncio.Task[Attempt[Any]]) -> None:
        if self._ended is not None and not task.cancelled():
            self._ended(task.result())
