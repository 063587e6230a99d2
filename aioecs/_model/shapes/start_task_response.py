"""What StartTask answered."""

from __future__ import annotations

from collections.abc import Sequence

from aioecs._model.codec.shape import Shape, member, shape
from aioecs._model.shapes.task import Failure, Task
from aioecs.errors import StartRefused


@shape
class StartTaskResponse(Shape):
    """What one StartTask came to: the tasks that started and the instances that ECS refused, side by side.

    A partial failure doesn't raise; `raise_for_failures()` does.
    """

    tasks: Sequence[Task] = member(factory=tuple)
    """The tasks that were started, in no documented order."""
    failures: Sequence[Failure] = member(factory=tuple)
    """The instances on which nothing was started, with ECS's reason for each."""
    request_id: str | None = member(default=None, own=True)
    """The id of the request that AWS support asks for."""
    token: str = member(default="", own=True)
    """The `startedBy` that the tasks bear."""
    attempts: int = member(default=1, own=True)
    """How often the call was sent; 0 if all its tasks were found and none had to be started."""

    found: bool = member(default=False, own=True)
    """Whether an earlier call with the same idempotency key started one or more of the tasks; they may have stopped."""

    def raise_for_failures(self) -> None:
        """Raise if ECS refused any of the instances.

        Raises:
            StartRefused: `failures` holds what was refused and why, `tasks` what did start.
        """
        if self.failures:
            requested = len(self.tasks) + len(self.failures)
            raise StartRefused(
                f"ECS refused {len(self.failures)} of {requested} starts: {reasons_of(self.failures)}",
                token=self.token,
                response=self,
            )


def reasons_of(failures: Sequence[Failure]) -> str:
    """List the reasons of failures, each once."""
    return ", ".join(sorted({str(failure.reason or "no reason given") for failure in failures}))
