"""restart: only what has certainly failed is started anew."""

from __future__ import annotations

from typing import Any

import pytest

from aioecs import StartTaskResponse, Task
from aioecs._logic.calls.restart import all_failed, failed, key_of
from aioecs.types import Container


def a_task(*codes: int | None, status: str = "STOPPED", **more: Any) -> Task:
    """Make a task whose containers ended so."""
    return Task(last_status=status, containers=[Container(exit_code=code) for code in codes], **more)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (a_task(0), False),
        (a_task(1), True),
        (a_task(0, 137), True),
        (a_task(None), None),
        (a_task(0, None), None),
        (a_task(), None),
        (a_task(None, stop_code="TaskFailedToStart"), True),
        (a_task(1, status="RUNNING"), None),
        (a_task(status="PENDING"), None),
    ],
)
def test_what_has_certainly_failed(task: Task, expected: bool | None) -> None:
    """What is not known counts as neither."""
    assert failed(task) is expected


def test_all_of_a_key() -> None:
    """One task that runs, or ended well, keeps the key from being started anew; so does an answer without tasks."""
    assert all_failed(StartTaskResponse(tasks=[a_task(1), a_task(2)]))
    assert not all_failed(StartTaskResponse(tasks=[a_task(1), a_task(0)]))
    assert not all_failed(StartTaskResponse())


def test_the_keys_of_restarts_differ() -> None:
    """The first is the key itself, so that it finds what was started without a restart."""
    assert key_of("k", 0) == "k"
    assert len({key_of("k", number) for number in range(5)}) == 5
