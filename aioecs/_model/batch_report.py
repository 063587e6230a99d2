"""Results of many starts, and their counts."""

from __future__ import annotations

from collections import Counter

import attrs

from aioecs._model.shapes.task import Task
from aioecs._model.start_result import Outcome, StartResult
from aioecs.errors import StartRefused, StartUnknown


@attrs.frozen(kw_only=True)
class Statistics:
    """A snapshot of a batch: counts of starts, calls and throttled requests."""

    requested: int = 0
    """Starts drawn from the requests so far, one per request and instance."""
    started: int = 0
    """Starts that ended as STARTED."""
    refused: int = 0
    """Starts that ended as REFUSED."""
    stopped: int = 0
    """Starts that ended as STOPPED."""
    not_sent: int = 0
    """Starts that ended as NOT_SENT."""
    unknown: int = 0
    """Starts that ended as UNKNOWN."""
    calls: int = 0
    """Calls begun."""
    throttled: int = 0
    """Requests that ECS throttled; each was sent again, or ended as NOT_SENT."""
    in_flight: int = 0
    """Calls begun that have not settled."""
    queued: int = 0
    """Starts that wait to be put into a call."""
    waiting_for_capacity: int = 0
    """Starts that wait until some container instance has capacity for them."""
    rate: float = float("inf")
    """Current rate limit, in calls a second; infinite without rate limiting."""


@attrs.frozen(kw_only=True)
class BatchReport:
    """The result of every start, in the order of the requests and of their container instances."""

    starts: tuple[StartResult, ...]
    """One result per request and container instance."""
    statistics: Statistics
    """Counts; they add up to the number of starts."""

    def __repr__(self) -> str:
        """Show how many starts there are of each outcome."""
        counts = Counter(start.outcome.name.lower().replace("_", " ") for start in self.starts)
        return f"<BatchReport of {len(self.starts)} starts: {', '.join(f'{n} {what}' for what, n in counts.items())}>"

    def _of(self, outcome: Outcome) -> tuple[StartResult, ...]:
        return tuple(start for start in self.starts if start.outcome is outcome)

    @property
    def started(self) -> tuple[StartResult, ...]:
        """Starts whose task runs or has run."""
        return self._of(Outcome.STARTED)

    @property
    def refused(self) -> tuple[StartResult, ...]:
        """Starts that ECS refused."""
        return self._of(Outcome.REFUSED)

    @property
    def not_sent(self) -> tuple[StartResult, ...]:
        """Starts of which nothing started and nothing is in flight."""
        return self._of(Outcome.NOT_SENT)

    @property
    def stopped(self) -> tuple[StartResult, ...]:
        """Starts whose task aioecs stopped."""
        return self._of(Outcome.STOPPED)

    @property
    def unknown(self) -> tuple[StartResult, ...]:
        """Starts that ECS may have acted on; each has the token to look it up by."""
        return self._of(Outcome.UNKNOWN)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Tasks of the starts that are STARTED."""
        return tuple(start.task for start in self.started if start.task is not None)

    def raise_for_failures(self) -> None:
        """Raise unless every start ended as STARTED.

        Raises:
            ExceptionGroup: one error per start that did not: its own where it has one, else StartRefused for a
                refusal by ECS and StartUnknown for an ambiguous start.
        """
        errors = [_error_of(start) for start in self.starts if start.outcome is not Outcome.STARTED]
        if errors:
            raise ExceptionGroup(f"{len(errors)} of {len(self.starts)} starts failed", errors)


def _error_of(start: StartResult) -> Exception:
    if start.error is not None:
        return start.error
    kind = StartUnknown if start.outcome is Outcome.UNKNOWN else StartRefused
    why = (start.failure.reason or "no reason given") if start.failure else start.outcome.replace("_", " ")
    return kind(f"{start.container_instance}: {why}", starts=[start], token=start.token)
