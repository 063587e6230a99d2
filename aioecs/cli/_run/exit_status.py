"""The exit statuses of `aioecs run`: the container's own, and from 121 on what has no exit code. Pure.

121 to 126 are seldom exit codes of programs; 124 is that of `timeout`, 125 and 126 are those of `docker run`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aioecs import TaskResult

UNWRITTEN: Final = 121
"""The task succeeded, and the output could not be written; or the results of jobs, which are stopped then."""
NO_EXIT_CODE: Final = 122
"""The task ended without an exit code: its host was lost, or Spot capacity was taken back."""
UNKNOWN: Final = 123
"""It can't be known whether the task was started, or how it ended."""
TIMED_OUT: Final = 124
"""The task had not ended in time, and was stopped."""
NOT_STARTED: Final = 125
"""Nothing was started: the options are wrong, or ECS refused."""
NEVER_RAN: Final = 126
"""The task was started and none of its containers ran: an image could not be pulled, for example."""
KILLED: Final = 137
"""A container ran out of memory: that of a process that SIGKILL ended."""
STOPPED: Final = 143
"""A user or its service stopped the task: that of a process that SIGTERM ended."""
LARGEST: Final = 255
"""What an exit code above it becomes: a shell has no larger one."""

_BY_CAUSE = {
    "failed to start": NEVER_RAN,
    "start timeout": NEVER_RAN,
    "out of memory": KILLED,
    "stopped by a user": STOPPED,
    "stopped by its service": STOPPED,
}
"""The status of a task that failed without an exit code, by the cause; see `aioecs.TaskEndCause`."""


def status_of(result: TaskResult) -> int:
    """Return the exit status for a task that has ended: its exit code, or what stands for the lack of one."""
    if result.succeeded is None:
        return UNKNOWN
    if result.succeeded:
        return 0
    if result.exit_code:
        return result.exit_code if 0 < result.exit_code < LARGEST else LARGEST
    return _BY_CAUSE.get(str(result.cause), NO_EXIT_CODE)
