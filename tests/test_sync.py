"""sync: the async client's promises, kept for threads, in their interrupts, forks and exits."""

from __future__ import annotations

import asyncio
import builtins
import concurrent.futures
import functools
import inspect
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio.to_thread
import attrs
import pytest
from threaded_ecs import SettledStarts, access, arrived, ctrl_c, fault_used, local_ecs_on_thread, request, until

import aioecs
import aioecs.sync
from aioecs import (
    CancelToken,
    ClientStateError,
    ConfigurationError,
    InvalidRequest,
    Outcome,
    StartCancelled,
    StartTaskRequest,
    find_start_error,
)
from aioecs._blocking import Errand, Lease
from aioecs.testing import Fault, LocalECS

SLOW = Fault("delay", seconds=0.3)


@pytest.fixture
def there() -> Iterator[LocalECS]:
    """Serve a local ECS to threads."""
    with local_ecs_on_thread(instances=3) as local:
        yield local


@pytest.fixture
def ecs(there: LocalECS) -> Iterator[aioecs.sync.Client]:
    """Open a blocking client of it."""
    with aioecs.sync.Client(**access(there)) as client:
        yield client


def loops() -> int:
    """Count the background loops' threads: the local ECS's is one of them."""
    return sum("portal" in thread.name for thread in threading.enumerate())


# The same names ------------------------------------------------------------------------------------------------------

# A batch is fed by concurrent tasks of a loop, the raw client is a loop's, and `reached_by` is internal.
ONLY_ASYNC = {"batch", "raw", "reached_by"}
ONLY_SYNC = {"begin_start_task", "close", "end_start_task"}


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_it_has_the_names_of_the_async_client() -> None:
    """All but those that only a loop has a use for, and the pair and `close` beside them."""
    assert public(aioecs.sync.Client) - ONLY_SYNC == public(aioecs.Client) - ONLY_ASYNC


@pytest.mark.parametrize("name", ["__init__", *sorted(public(aioecs.sync.Client) - ONLY_SYNC - {"timeouts"})])
def test_parameters_are_the_async_client_s(name: str) -> None:
    """By name, kind and default."""
    ours, theirs = (
        [(p.name, p.kind, p.default) for p in inspect.signature(getattr(kind, name)).parameters.values()]
        for kind in (aioecs.sync.Client, aioecs.Client)
    )
    assert ours == theirs


def test_a_wrong_setting_is_refused_at_once() -> None:
    """By the async client, as it is made."""
    with pytest.raises(InvalidRequest, match="max_in_flight"):
        aioecs.sync.Client("eu-west-1", max_in_flight=0)


def test_operations_answer_as_the_async_ones_do(there: LocalECS, ecs: aioecs.sync.Client) -> None:
    """Each of them, once round."""
    started = ecs.start_task(request(there, 2, started_by="us"))
    report = ecs.start_tasks(
        [request(there), request(there, 3)], idempotency_key=lambda r: f"k{len(r.container_instances)}"
    )
    placed = ecs.place_tasks(StartTaskRequest(task_definition="demo"), count=4, placement=aioecs.Binpack("memory"))
    ran = ecs.run_task(aioecs.RunTaskRequest(task_definition="demo", count=2, launch_type="EC2"))
    assert [len(answer.tasks) for answer in (started, report, placed, ran)] == [2, 4, 4, 2]
    assert len(ecs.list_tasks().task_arns) == 12
    assert len(ecs.list_tasks(aioecs.ListTasksRequest(started_by="us")).task_arns) == 2
    arns = ecs.list_container_instances().container_instance_arns
    assert set(arns) == set(there.instance_arns)
    hosts = ecs.describe_container_instances(aioecs.DescribeContainerInstancesRequest(container_instances=arns))
    assert len(hosts.container_instances) == 3
    demo = ecs.describe_task_definition(aioecs.DescribeTaskDefinitionRequest(task_definition="demo"))
    assert demo.task_definition is not None
    arn = started.tasks[0].task_arn or ""
    ecs.stop_task(aioecs.StopTaskRequest(task=arn))
    (task,) = ecs.describe_tasks(aioecs.DescribeTasksRequest(tasks=[arn])).tasks
    assert task.desired_status == "STOPPED"


def test_it_waits_and_watches(there: LocalECS, ecs: aioecs.sync.Client) -> None:
    """Until they run, until they have stopped, and each change; a loop that is left ends its watch."""
    tasks = ecs.start_task(request(there, 2)).tasks
    running = ecs.wait_until_running(tasks, timeout=20)
    assert [task.task_arn for task in running] == [task.task_arn for task in tasks]
    for task in ecs.watch([task.task_arn or "" for task in running], timeout=20):
        assert task.last_status == "RUNNING"
        break
    for task in running:
        ecs.stop_task(aioecs.StopTaskRequest(task=task.task_arn or ""))
    assert {task.last_status for task in ecs.watch(running, timeout=20)} == {"STOPPED"}
    assert {task.last_status for task in ecs.wait_until_stopped(running, timeout=20)} == {"STOPPED"}
    with pytest.raises(InvalidRequest, match="timeout"):
        next(ecs.watch(running, timeout=-1))


def test_it_is_fed_from_a_thread(ecs: aioecs.sync.Client) -> None:
    """What is no event of a task's is passed over, and rubbish is refused."""
    assert ecs.feed({"detail-type": "Another", "source": "aws.ecs", "detail": {}}) is False
    with pytest.raises(InvalidRequest):
        ecs.feed("rubbish")


def test_errors_are_the_async_ones(there: LocalECS, ecs: aioecs.sync.Client) -> None:
    """Raised in the calling thread."""
    with pytest.raises(aioecs.ClientException):
        ecs.start_task(StartTaskRequest(task_definition="gone", container_instances=there.instance_arns[:1]))
    with pytest.raises(InvalidRequest, match="container_instances"):
        ecs.start_task(StartTaskRequest(task_definition="demo", container_instances=[]))
    assert there.truth.tasks() == []


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


def test_all_clients_share_one_loop(there: LocalECS) -> None:
    """It starts with the first call and ends with the last client."""
    before = loops()
    first, second = (aioecs.sync.Client(**access(there)) for _ in range(2))
    assert loops() == before
    with first:
        second.start_task(request(there))
        assert loops() == before + 1
    assert len(second.start_task(request(there)).tasks) == 1
    second.close()
    assert loops() == before


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
    """What it had drawn before is withdrawn, or told of; nothing runs unseen."""

    def requests() -> Iterator[StartTaskRequest]:
        yield request(there)
        raise LookupError("the database is gone")

    with pytest.raises(LookupError, match="the database is gone"):
        ecs.start_tasks(requests())


def test_a_token_cancels_from_any_thread(there: LocalECS, ecs: aioecs.sync.Client) -> None:
    """The thread that waits is told what that left behind."""
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
    """Nothing is sent, and that is told."""
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


# Ctrl-C --------------------------------------------------------------------------------------------------------------


def test_ctrl_c_withdraws_and_waits_for_the_truth(there: LocalECS, ecs: aioecs.sync.Client) -> None:
    """KeyboardInterrupt's cause tells what came of it; the client goes on."""
    there.faults.add(SLOW)
    with ctrl_c(fault_used(there)), pytest.raises(KeyboardInterrupt) as raised:
        ecs.start_task(request(there, 2))
    truth = find_start_error(raised.value)
    assert truth is raised.value.__cause__
    assert truth is not None
    assert [start.outcome for start in truth.starts] == [Outcome.STOPPED] * 2
    assert there.truth.running() == []
    assert len(ecs.start_task(request(there)).tasks) == 1


def test_ctrl_c_leaves_running_what_is_to_settle(there: LocalECS, ecs: aioecs.sync.Client) -> None:
    """Under on_cancel="keep" the ARN is in the cause; in end_start_task as well."""
    there.faults.add(SLOW)
    future = ecs.begin_start_task(request(there), on_cancel="keep")
    with ctrl_c(fault_used(there)), pytest.raises(KeyboardInterrupt) as raised:
        ecs.end_start_task(future)
    truth = find_start_error(raised.value)
    assert truth is not None
    assert {task.task_arn for task in truth.tasks} == {task.arn for task in there.truth.running()}
    assert len(truth.tasks) == 1


def test_ctrl_c_ends_a_wait_and_a_watch() -> None:
    """The cause tells how far the tasks had come; they go on."""
    with local_ecs_on_thread(instances=1, pending_seconds=3600) as local, aioecs.sync.Client(**access(local)) as ecs:
        tasks = ecs.start_task(request(local)).tasks
        with ctrl_c(arrived(local, "DescribeTasks")), pytest.raises(KeyboardInterrupt) as raised:
            ecs.wait_until_running(tasks, timeout=60)
        assert isinstance(raised.value.__cause__, aioecs.WaitCancelled)
        seen = iter(ecs.watch([task.task_arn or "" for task in tasks], timeout=60))
        assert next(seen).last_status == "PENDING"
        again = arrived(local, "DescribeTasks", count=local.truth.requests["DescribeTasks"] + 1)
        with ctrl_c(again), pytest.raises(KeyboardInterrupt):
            next(seen)
        assert len(local.truth.running()) == 1


def test_a_second_ctrl_c_ends_the_wait(there: LocalECS) -> None:
    """Not the settling: `on_settled` hears what came of it."""
    there.faults.add(Fault("delay", seconds=0.5))
    received = SettledStarts()
    again = threading.Event()
    with aioecs.sync.Client(**access(there), on_settled=received) as ecs:
        token = CancelToken()
        with ctrl_c(fault_used(there), again.wait), pytest.raises(KeyboardInterrupt) as raised:
            threading.Timer(0.1, again.set).start()
            ecs.start_task(request(there), token)
        assert find_start_error(raised.value) is None
        assert there.truth.requests["StopTask"] == 0
    assert [start.outcome for start in received.starts] == [Outcome.STOPPED]
    assert there.truth.running() == []


def test_ctrl_c_while_it_begins(there: LocalECS, ecs: aioecs.sync.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it was handed over and just after: nothing is left that nobody waits for."""
    send = Lease.send

    def sent(lease: Lease, errand: Errand[Any]) -> None:
        send(lease, errand)
        raise KeyboardInterrupt

    def unsent(lease: Lease, errand: Errand[Any]) -> None:
        raise KeyboardInterrupt

    for broken, begin in itertools.product((sent, unsent), (ecs.begin_start_task, ecs.start_task)):
        there.faults.add(SLOW)
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt) as raised:
            patched.setattr(Lease, "send", broken)
            begin(request(there))
        truth = find_start_error(raised.value)
        assert truth is not None
        assert truth.outcome in (None, Outcome.NOT_SENT, Outcome.STOPPED)
    assert there.truth.running() == []


def test_ctrl_c_while_requests_are_drawn(there: LocalECS, ecs: aioecs.sync.Client) -> None:
    """What had started before is left running and listed; nothing more is drawn."""

    def requests() -> Iterator[StartTaskRequest]:
        for _ in range(10):
            yield request(there)
        until(lambda: len(there.truth.running()) == 10)
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(5)
        raise AssertionError("the interrupt did not come")

    with pytest.raises(KeyboardInterrupt) as raised:
        ecs.start_tasks(requests())
    truth = find_start_error(raised.value)
    assert truth is not None
    assert Counter(start.outcome for start in truth.starts).keys() <= {Outcome.STARTED, Outcome.STOPPED}
    started = {start.task.task_arn for start in truth.starts if start.task and start.outcome is Outcome.STARTED}
    assert started == {task.arn for task in there.truth.running()}
    assert len(truth.starts) == 10


def test_ctrl_c_together_with_the_answer_loses_nothing(
    there: LocalECS,
    ecs: aioecs.sync.Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What had come is in the cause, as it is, for one request and for many."""
    result = Errand.result
    interrupted: list[object] = []

    def interrupted_result(errand: Any, timeout: float | None = None) -> Any:
        answer = result(errand, timeout)
        if threading.current_thread() is threading.main_thread() and errand not in interrupted:
            interrupted.append(errand)
            raise KeyboardInterrupt
        return answer

    full = StartTaskRequest(task_definition="demo", container_instances=[*there.instance_arns[:1], "0" * 32])
    monkeypatch.setattr(Errand, "result", interrupted_result)
    for call, outcomes in (
        (functools.partial(ecs.start_task, full), [Outcome.STARTED, Outcome.REFUSED]),
        (functools.partial(ecs.start_tasks, [request(there, 2)]), [Outcome.STARTED] * 2),
        (functools.partial(ecs.run_task, aioecs.RunTaskRequest(task_definition="demo")), [Outcome.STARTED]),
    ):
        with pytest.raises(KeyboardInterrupt) as raised:
            call()
        truth = find_start_error(raised.value)
        assert truth is not None
        assert [start.outcome for start in truth.starts] == outcomes
    with pytest.raises(KeyboardInterrupt) as raised:
        ecs.list_tasks()
    assert raised.value.__cause__ is None
    monkeypatch.undo()
    assert len(there.truth.running()) == 4


CTRL_C = """
import json, sys, threading
from concurrent.futures import ThreadPoolExecutor
import aioecs, aioecs.sync

access, instances = json.loads(sys.argv[1])
token, told = aioecs.CancelToken(), []

def start(at):
    request = aioecs.StartTaskRequest(task_definition="demo", container_instances=[instances[at % len(instances)]])
    try:
        return [(task.task_arn, "started") for task in ecs.start_task(request, token).tasks]
    except aioecs.StartCancelled as cancelled:
        return [(start.task and start.task.task_arn, start.outcome) for start in cancelled.starts]

with aioecs.sync.Client(**access, pacing=None) as ecs:
    pool = ThreadPoolExecutor(50)
    try:
        futures = [pool.submit(start, at) for at in range(1000)]
        print("ready", flush=True)
        for future in futures:
            future.result()
    except KeyboardInterrupt:
        token.cancel("Ctrl-C")
    pool.shutdown()
    print(json.dumps([one for future in futures for one in future.result()]))
"""


def test_ctrl_c_amid_fifty_threads_leaves_no_orphan() -> None:
    """A process is sent SIGINT: each task that runs was told to a caller, and none was started twice."""

    with local_ecs_on_thread(
        instances=50, cpu=10**6, memory=10**6, faults=[Fault("delay", seconds=0.05, times=None)]
    ) as local:
        argument = json.dumps([access(local), local.instance_arns])
        with subprocess.Popen(
            [sys.executable, "-c", CTRL_C, argument], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            until(arrived(local, count=200))
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert "Traceback" not in err
        reported = {arn: outcome for arn, outcome in json.loads(out.splitlines()[-1]) if arn}
        running = {task.arn for task in local.truth.running()}
        assert running == {arn for arn, outcome in reported.items() if outcome == "started"}
        assert {task.arn for task in local.truth.tasks()} == set(reported)
        assert 0 < len(running) < 1000
        assert local.truth.duplicates() == []


# Loops and notebooks -------------------------------------------------------------------------------------------------


async def test_on_a_loop_s_thread_it_says_so(local: LocalECS) -> None:
    """It would bring the loop to a standstill; nothing is opened."""
    ecs = aioecs.sync.Client(**access(local))
    with pytest.raises(ClientStateError, match="to a standstill"):
        ecs.start_task(request(local))
    with pytest.raises(ClientStateError, match="to a standstill"):
        ecs.__enter__()
    assert local.truth.requests.total() == 0


async def test_in_a_loop_s_thread_pool_it_works(local: LocalECS) -> None:
    """As it does in any thread."""
    ecs = aioecs.sync.Client(**access(local))
    response = await anyio.to_thread.run_sync(ecs.start_task, request(local))
    assert len(response.tasks) == 1
    await anyio.to_thread.run_sync(ecs.close)


async def test_begin_may_be_called_beside_a_loop(local: LocalECS) -> None:
    """It blocks nothing; the end of what has ended doesn't either."""
    ecs = aioecs.sync.Client(**access(local))
    future = ecs.begin_start_task(request(local))
    with pytest.raises(ClientStateError, match="to a standstill"):
        ecs.end_start_task(future)
    await asyncio.wrap_future(future)
    assert len(ecs.end_start_task(future).tasks) == 1
    await anyio.to_thread.run_sync(ecs.close)


def test_in_a_notebook_s_cell_it_works(there: LocalECS, monkeypatch: pytest.MonkeyPatch) -> None:
    """IPython runs it on its own loop, and shows by `get_ipython` that it does."""
    monkeypatch.setattr(builtins, "get_ipython", object, raising=False)

    async def cell() -> None:
        with aioecs.sync.Client(**access(there)) as ecs:
            assert len(ecs.start_task(request(there)).tasks) == 1

    asyncio.run(cell())


@pytest.mark.parametrize("notebook", [False, True])
def test_on_its_own_loop_s_thread_it_says_so(there: LocalECS, notebook: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A callback that calls the client would wait for itself; in a notebook as well, and through another client."""
    if notebook:
        monkeypatch.setattr(builtins, "get_ipython", object, raising=False)
    said: list[BaseException] = []
    other = aioecs.sync.Client(**access(there))
    with aioecs.sync.Client(**access(there)) as ecs:

        def key(asked: StartTaskRequest) -> str:
            for call in (ecs.start_task, ecs.begin_start_task, other.start_task):
                with pytest.raises(ClientStateError, match="wait for itself") as refused:
                    call(asked)
                said.append(refused.value)
            return "key"

        ecs.start_tasks([request(there)], idempotency_key=key)
    assert len(said) == 3


# Opening, closing, exit, fork ----------------------------------------------------------------------------------------


def test_what_keeps_it_from_opening_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """On entering, or by each call; the loop ends all the same."""
    before = loops()
    with pytest.raises(ConfigurationError), aioecs.sync.Client():
        pass
    ecs = aioecs.sync.Client()
    for _ in range(2):
        with pytest.raises(ConfigurationError):
            ecs.list_tasks()
    ecs.close()
    assert loops() == before


def test_closed_is_closed(there: LocalECS) -> None:
    """A call on it says so; closing it again does nothing."""
    ecs = aioecs.sync.Client(**access(there))
    assert "not opened" in repr(ecs)
    with ecs:
        assert "open" in repr(ecs)
        future = ecs.begin_start_task(request(there))
    assert future.done()
    ecs.close()
    for call in (ecs.start_task, ecs.begin_start_task):
        with pytest.raises(ClientStateError, match="closed"):
            call(request(there))
    assert "closed" in repr(ecs)


def run(code: str, *arguments: str) -> str:
    """Run a script of a process of its own, which ends by itself and says nothing on stderr."""
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


UNCLOSED = """
import logging, sys, aioecs, aioecs.sync
endpoint, instance = sys.argv[1:]
access = dict(region_name="us-east-1", aws_access_key_id="local", aws_secret_access_key="local")
def heard(starts, reason): print(reason, *[f"{start.outcome} {start.task and start.task.task_arn}" for start in starts])
ecs = aioecs.sync.Client(endpoint_url=endpoint, on_settled=heard, **access)
future = ecs.begin_start_task(
    aioecs.StartTaskRequest(task_definition="demo", container_instances=[instance])
)
future.add_done_callback(lambda ended: print(*[task.task_arn for task in ended.result().tasks]))
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_exit_without_closing_settles_what_is_on_its_way(there: LocalECS, host: str) -> None:
    """A lost answer among it: it is looked up before the process ends, which says nothing else."""
    there.faults.add(Fault("reset", when="after"))
    out = run(UNCLOSED, there.endpoint_url.replace("127.0.0.1", host), there.instance_arns[0])
    (task,) = there.truth.running()
    assert out.split() == [task.arn]


FORK = """
import json, os, sys, aioecs, aioecs.sync
access, instance = json.loads(sys.argv[1])
request = aioecs.StartTaskRequest(task_definition="demo", container_instances=[instance])
later = aioecs.sync.Client(**access)
opened = aioecs.sync.Client(**access)
opened.start_task(request)
child = os.fork()
if not child:
    try:
        opened.start_task(request)
    except aioecs.ClientStateError as error:
        print("child:", error)
    opened.close()
    with later:
        print("child:", len(later.start_task(request).tasks))
    with aioecs.sync.Client(**access) as fresh:
        print("child:", len(fresh.start_task(request).tasks))
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
print("parent:", len(opened.start_task(request).tasks))
"""


def test_a_copy_of_another_process_is_refused_and_left_alone(
    there: LocalECS, ecs: aioecs.sync.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a child that a fork has made sees it."""
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: -1)
        with pytest.raises(ClientStateError, match="before a fork"):
            ecs.list_tasks()
        ecs.close()
    assert ecs.list_tasks().task_arns == ()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_after_a_fork_there_is_a_fresh_loop(there: LocalECS) -> None:
    """What was opened before says so, what wasn't works; and the parent's goes on."""

    out = run(FORK, json.dumps([access(there), there.instance_arns[0]]))
    assert out.splitlines() == [
        "child: this client was opened before a fork: make one in the process that uses it",
        "child: 1",
        "child: 1",
        "parent: 1",
    ]
    assert len(there.truth.running()) == 4


def test_it_runs_tasks_to_their_end(there: LocalECS, ecs: aioecs.sync.Client) -> None:
    """One, and many that are drawn in the calling thread."""
    there.engine.behaviour = attrs.evolve(there.engine.behaviour, running_seconds=0.0, exit_code=3)
    one = request(there)
    result = ecs.run(one, timeout=30)
    assert (result.succeeded, result.exit_code) == (False, 3)
    assert ecs.task_result(result.task) == result
    threads: set[int] = set()

    def requests() -> Iterator[aioecs.StartTaskRequest]:
        for _ in range(3):
            threads.add(threading.get_ident())
            yield one

    report = ecs.run_all(requests(), timeout=30)
    assert [run.succeeded for run in report.runs] == [False] * 3
    assert threads == {threading.get_ident()}
