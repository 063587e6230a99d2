"""refusal_confirmation: whether a refused start certainly doesn't run; test_placement_stream has the streams."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from fake_transport import FakeReconciler, make_request, tasks_for
from virtual_time import run_in_virtual_time

import aioecs
from aioecs import Outcome, StartResult
from aioecs._batch.placement.refusal_confirmation import found_running, look_up
from aioecs._logic.calls.actions import LookupDone
from aioecs._logic.sending.packing import Entry


def refused(**more: Any) -> tuple[Entry, StartResult, aioecs.Task]:
    """Make a start that was refused, and a task that would be its own."""
    request = make_request(1, **more)
    entry = Entry(request.replace(container_instances=()), request.container_instances[0], None, 0)  # type: ignore[arg-type]
    start = StartResult(
        request=entry.request, container_instance=entry.instance, outcome=Outcome.REFUSED, token="aioecs-1"
    )
    return entry, start, tasks_for(request)[0]


@pytest.mark.parametrize(
    ("tasks", "whole", "known", "comes_to"),
    [(0, True, False, "nothing"), (0, False, False, "itself"), (1, True, False, "task"), (1, True, True, "nothing")],
)
def test_what_a_lookup_says_of_it(tasks: int, whole: bool, known: bool, comes_to: str) -> None:
    """Certainly nothing, its own task, or what ECS said; a sibling's task is none of its."""
    entry, start, task = refused()
    others: set[str | None] = {task.task_arn} if known else set()
    found = found_running(entry, start, LookupDone((task,) * tasks, whole=whole, began=0.0), others)
    running = attrs.evolve(start, outcome=Outcome.STARTED, task=task)
    assert found == {"nothing": None, "itself": start, "task": running}[comes_to]
    assert (task.task_arn in others) is (known or comes_to == "task")


def test_under_a_mark_of_the_callers_own_it_may_be_anyones() -> None:
    """So it stays refused."""
    entry, start, task = refused(started_by="aioecs-1")
    assert found_running(entry, start, LookupDone((task,), whole=True, began=0.0), set()) is start


def test_it_is_looked_up_by_its_token_where_it_was_sent() -> None:
    """Absence there is to be believed, so it is confirmed."""

    async def main() -> None:
        reconciler = FakeReconciler()
        entry, start, _ = refused()
        await look_up(reconciler, entry, start)  # type: ignore[arg-type]
        (ambiguous_call,) = reconciler.requests
        assert (ambiguous_call.token, ambiguous_call.instances, ambiguous_call.confirm) == (
            "aioecs-1",
            (entry.instance,),
            True,
        )

    run_in_virtual_time(main())
