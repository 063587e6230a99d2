"""What `run_all` returns: for each request how its task ended, or why it has none."""

from __future__ import annotations

import attrs

from aioecs._model.shapes.run_task import RunTaskRequest
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.start_result import Outcome, StartResult
from aioecs._model.task_result import TaskResult
from aioecs.errors import ECSError


@attrs.frozen(kw_only=True)
class Run:
    """One request of `run_all`: its task's result, or the error that its start or its wait ended with."""

    request: StartTaskRequest | RunTaskRequest = attrs.field(repr=False)
    """The request."""
    result: TaskResult | None = None
    """How its task ended; None if it never started, or the wait for its end failed."""
    error: ECSError | None = attrs.field(default=None, eq=False)
    """Why there is no result; `error.starts` has the task if one was started."""
    starts: tuple[StartResult, ...] = attrs.field(default=(), repr=False)
    """What its start came to."""

    @property
    def succeeded(self) -> bool | None:
        """True if its task succeeded; False if it failed or none was started; None if that can't be known."""
        if self.result is not None:
            return self.result.succeeded
        may_run = any(start.outcome in (Outcome.STARTED, Outcome.UNKNOWN) for start in self.starts)
        return None if may_run else False


@attrs.frozen(kw_only=True, repr=False)
class RunReport:
    """What the requests of one `run_all` came to."""

    runs: tuple[Run, ...]
    """One for each request, in their order."""

    @property
    def starts(self) -> tuple[StartResult, ...]:
        """What every start came to, in the order of the requests."""
        return tuple([start for run in self.runs for start in run.starts])

    @property
    def results(self) -> tuple[TaskResult, ...]:
        """How the tasks ended, in the order of their requests; those without a result are left out."""
        return tuple(run.result for run in self.runs if run.result is not None)

    @property
    def succeeded(self) -> tuple[Run, ...]:
        """Those whose task succeeded."""
        return tuple(run for run in self.runs if run.succeeded)

    @property
    def failed(self) -> tuple[Run, ...]:
        """Those whose task failed, or was never started."""
        return tuple(run for run in self.runs if run.succeeded is False)

    @property
    def unknown(self) -> tuple[Run, ...]:
        """Those of which it can't be known whether they succeeded."""
        return tuple(run for run in self.runs if run.succeeded is None)

    def raise_for_status(self) -> RunReport:
        """Return this report if every task succeeded.

        Raises:
            TaskFailed, ECSError: of the first request that did not succeed.
        """
        for run in self.runs:
            if run.error is not None:
                raise run.error
            if run.result is not None:
                run.result.raise_for_status()
        return self

    def __repr__(self) -> str:
        counts = f"{len(self.succeeded)} succeeded, {len(self.failed)} failed, {len(self.unknown)} unknown"
        return f"<RunReport of {len(self.runs)}: {counts}>"
