"""starting: the blocking client's starts, by one thread and by many, begun and awaited apart."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import anyio.to_thread
import attrs
import pytest
from threaded_ecs import access, fault_used, local_ecs_on_thread, request, until

import aioecs
import aioecs.sync
from aioecs import (
    CancelToken,
    InvalidRequest,
    Outcome,
    StartCancelled,
    StartTaskRequest,
    StartTimeout,
)
from aioecs.testing import Fault, LocalECS

SLOW = Fault("delay", seconds=0.3)


# Threads -------------------------------------------------------------------------------------------------------------


def test_fifty_threads_start_a_thousand() -> None:
    """Through one client, which the first of them opens: all started, and none of them twice."""
    with local_ecs_on_thread(instances=50, cpu=10**6, memory=10**6) as local:
        ecs = aioecs.sync.Client(**access(local), pacing=None)
        asked = [
            StartTaskRequest(task_definition="demo", container_instances=[local.instance_arns[i % 50]])
            for i in range(1000)
        ]
        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(ecs.start_task, asked))
        ecs.close()
        assert {task.arn for task in local.truth.running()} == {task.task_arn for a in answers for task in a.tasks}
        assert len(local.truth.running()) == 1000
        assert local.truth.duplicates() == []


def test_a_generator_is_drawn_in_the_calling_thread(there: LocalECS, ecs: aioecs.sync.Client) -> None:
    """Where its database connection is, and it may use the client itself."""
    drawn_in: set[int] = set()

    def requests() -> Iterator[StartTaskRequest]:
        for _ in range(20):
            drawn_in.add(threading.get_ident())
            yield request(there)
        ecs.list_tasks()

    assert len(ecs.start_tasks(requests()).started) == 20
    assert drawn_in == {threading.get_ident()}


def test_a_generator_that_fails_ends_the_call_with_its_error(there: LocalECS, ecs: aioecs.sync.Client) -> None:
    """What it had drawn before is withdrawn, or reported; nothing runs unseen."""

    def requests() -> Iterator[StartTaskRequest]:
        yield request(there)
        raise LookupError("the database is gone")

    with pytest.raises(LookupError, match="the database is gone"):
        ecs.start_tasks(requests())


def test_a_token_cancels_from_any_thread(there: LocalECS, ecs: aioecs.sync.Client) -> None:
    """The thread that waits gets what that left behind."""
    there.faults.add(SLOW)
    token = CancelToken()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(until, fault_used(there)).add_done_callback(lambda _: token.cancel("enough"))
        with pytest.raises(StartCancelled, match="enough") as caught:
            ecs.start_task(request(there, 2), token)
    assert caught.value.source is token
    assert [start.outcome for start in caught.value.starts] == [Outcome.STOPPED] * 2
    assert there.truth.running() == []


# The pair ------------------------------------------------------------------------------------------------------------


def test_begin_returns_at_once_and_end_has_the_answer(there: LocalECS, ecs: aioecs.sync.Client) -> None:
    """And has it again, when asked again; the future is one that concurrent.futures takes."""
    there.faults.add(SLOW)
    future = ecs.begin_start_task(request(there, 2), idempotency_key="job-17")
    assert not future.done()
    assert concurrent.futures.wait([future]).done == {future}
    assert len(ecs.end_start_task(future).tasks) == 2
    assert ecs.end_start_task(future) is future.result()
    assert not future.cancelled()
    assert not future.cancel()


def test_end_raises_the_error(there: LocalECS, ecs: aioecs.sync.Client) -> None:
    """As start_task does."""
    future = ecs.begin_start_task(StartTaskRequest(task_definition="gone", container_instances=["0" * 32]))
    with pytest.raises(aioecs.ClientException):
        ecs.end_start_task(future)
    assert not future.cancelled()


@pytest.mark.parametrize("by", ["the token", "the future"])
def test_cancelled_from_a_third_thread(there: LocalECS, ecs: aioecs.sync.Client, by: str) -> None:
    """The future ends as cancelled, with the outcome."""
    there.faults.add(SLOW)
    token = CancelToken()
    future = ecs.begin_start_task(request(there, 2), token)
    until(fault_used(there))
    with ThreadPoolExecutor(1) as third:
        third.submit(lambda: token.cancel("enough") if by == "the token" else future.cancel() and future.cancel())
    with pytest.raises(StartCancelled) as caught:
        ecs.end_start_task(future)
    assert future.cancelled()
    assert future.exception() is caught.value
    assert caught.value.outcome is Outcome.STOPPED
    assert len(caught.value.tasks) == 2
    assert there.truth.running() == []


def test_cancelled_before_it_is_begun(there: LocalECS, ecs: aioecs.sync.Client) -> None:
    """Nothing is sent, and the error says so."""
    token = CancelToken()
    token.cancel()
    future = ecs.begin_start_task(request(there), token)
    with pytest.raises(StartCancelled) as caught:
        ecs.end_start_task(future)
    assert caught.value.outcome is Outcome.NOT_SENT
    assert there.truth.requests.total() == 0


def test_cancelled_while_the_client_opens(there: LocalECS, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent for that caller; another that waits for the opening is served."""
    gate = threading.Event()
    enter = aioecs.Client.__aenter__

    async def later(client: aioecs.Client) -> aioecs.Client:
        await anyio.to_thread.run_sync(gate.wait)
        return await enter(client)

    monkeypatch.setattr(aioecs.Client, "__aenter__", later)
    ecs = aioecs.sync.Client(**access(there))
    withdrawn, other = (ecs.begin_start_task(request(there)) for _ in range(2))
    assert withdrawn.cancel()
    with pytest.raises(StartCancelled, match="nothing was sent"):
        ecs.end_start_task(withdrawn)
    gate.set()
    (task,) = ecs.end_start_task(other).tasks
    ecs.close()
    assert [task.task_arn] == [task.arn for task in there.truth.tasks()]


def test_end_takes_no_other_future(ecs: aioecs.sync.Client) -> None:
    """Only one that begin_start_task returned."""
    with pytest.raises(InvalidRequest, match="begin_start_task"):
        ecs.end_start_task(concurrent.futures.Future())


# Timeouts ------------------------------------------------------------------------------------------------------------


def test_a_timeout_has_the_outcome(there: LocalECS, ecs: aioecs.sync.Client) -> None:
    """In seconds, as the async client's: of one start, of many, and of one that is begun."""
    there.faults.add(attrs.evolve(SLOW, times=None))
    calls = (
        lambda: ecs.start_task(request(there), timeout=0.1),
        lambda: ecs.end_start_task(ecs.begin_start_task(request(there), timeout=0.1)),
        lambda: ecs.start_tasks(iter([request(there)]), timeout=0.1),
    )
    for call in calls:
        with pytest.raises(StartTimeout) as late:
            call()
        assert late.value.outcome is Outcome.STOPPED
    there.faults.add(attrs.evolve(SLOW, operation="RunTask", times=None))
    run = aioecs.RunTaskRequest(task_definition="demo", launch_type="EC2")
    for run_call in (lambda: ecs.run_task(run, timeout=0.1), lambda: ecs.run_tasks(iter([run]), timeout=0.1)):
        with pytest.raises(StartTimeout) as late:
            run_call()
        assert late.value.outcome is Outcome.STOPPED
    assert there.truth.running() == []
