"""The progress of a run, or its result, as the display needs it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from aioecs import Outcome
from aioecs.cli._display.start_counts import StartCounts

OUTCOMES = {
    Outcome.STARTED: ("started", "green"),
    Outcome.STOPPED: ("stopped after starting", "yellow"),
    Outcome.REFUSED: ("refused", "yellow"),
    Outcome.NOT_SENT: ("not sent", "yellow"),
    Outcome.UNKNOWN: ("UNKNOWN", "bold red"),
}
"""The outcomes, in the order in which they are shown, with their labels and styles."""


@attrs.frozen(kw_only=True)
class Report:
    """The progress of a run, or its result."""

    counts: StartCounts
    cluster: str = ""
    task_definition: str = ""
    container_instances: int = 0
    local: bool = False
    access: Sequence[str] = ()
    """The command-line options that reach the same ECS."""
    calls: int = 0
    throttled: int = 0
    rate: float = float("inf")
    """The rate limit in calls a second; infinite where none applies."""
    waiting: int = 0
    """How many starts wait for capacity."""
    seconds: float = 0.0
    interrupted: str | None = None
    """What interrupted the run: a signal's name, or a reason."""
    settling: str | None = None
    """What an interrupt waits for, and how long at most."""

    @property
    def left(self) -> float | None:
        """The estimated time to the end, in seconds; None without an estimate, as while starts wait for capacity."""
        done = self.counts.finished
        if self.interrupted is not None or self.waiting or not done or done >= self.counts.requested:
            return None
        return self.seconds * (self.counts.requested - done) / done

    @property
    def per_second(self) -> float:
        """Tasks started a second; 0 before any time has passed."""
        return self.counts.started / self.seconds if self.seconds > 0 else 0.0
