"""Many RunTask requests: equal ones share calls, and starts refused for want of capacity wait for it."""

from __future__ import annotations

from typing import Any

from aioecs._batch.batch_call import BatchCall
from aioecs._batch.retry_in_place import RetryInPlace
from aioecs._logic.calls.matching import ANYWHERE
from aioecs._logic.sending.capacity_refusal import passes_with_capacity
from aioecs._logic.sending.packing import Entry, Group
from aioecs._model.limits import expect
from aioecs._model.shapes.run_task import RunTaskRequest
from aioecs._model.start_result import Outcome, StartResult
from aioecs.errors import InvalidRequest


class RunStream(RetryInPlace):
    """A stream of RunTask requests, each of one to ten tasks; every task is a start of its own."""

    def _add(self, request: Any) -> None:
        """Queue the starts of a request; one that breaks a rule is NOT_SENT, and fails no other."""
        expect(request, RunTaskRequest)
        error = self._stopped
        group: Group | None = None
        if not self._ending and error is None:
            try:
                group = self._group_of(request, 0)
            except InvalidRequest as broken:
                error = broken
        for _ in range(request.count or 1 if group is not None else 1):
            entry = Entry(request, ANYWHERE, self, self._next_number())
            if group is None:
                self._settle_unsent(entry, error)
            else:
                self._queue(entry, group)

    def _may_pass(self, start: StartResult, batch_call: BatchCall | None, /) -> bool:
        """Return whether to wait for capacity.

        A call whose client token is known elsewhere can only be sent again as a whole: it waits only if none of it
        runs.
        """
        if not passes_with_capacity(start):
            return False
        if batch_call is None or not batch_call.call.record.shares_token:
            return True
        return all(each.outcome is Outcome.REFUSED for each in batch_call.results or ())
