"""sync: the async client's promises, kept for threads, in their interrupts, forks and exits."""

from __future__ import annotations

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
from typing import Any

import attrs
import pytest
from threaded_ecs import SettledStarts, access, arrived, ctrl_c, fault_used, local_ecs_on_thread, request, until

import aioecs
import aioecs.sync
from aioecs import (
    CancelToken,
    InvalidRequest,
    Outcome,
    StartTaskRequest,
    find_start_error,
)
from aioecs._blocking import Lease, LoopCall
from aioecs.testing import Fault, LocalECS

SLOW = Fault("delay", seconds=0.3)


# The same names ------------------------------------------------------------------------------------------------------

# A batch is fed by concurrent tasks of a loop, and the raw client is a loop's.
ONLY_ASYNC = {"aclose", "aopen", "batch", "raw"}
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


# Ctrl-C --------------------------------------------------------------------------------------------------------------


def test_ctrl_c_withdraws_and_waits_for_the_truth(there: LocalECS, ecs: aioecs.sync.Client) -> None:
    """KeyboardInterrupt's cause has the outcome; the client goes on."""
    there.faults.add(SLOW)
    with ctrl_c(fault_used(there)), pytest.raises(KeyboardInterrupt) as raised:
        ecs.start_task(request(there, 2))
    start_error = find_start_error(raised.value)
    assert start_error is raised.value.__cause__
    assert start_error is not None
    assert [start.outcome for start in start_error.starts] == [Outcome.STOPPED] * 2
    assert there.truth.running() == []
    assert len(ecs.start_task(request(there)).tasks) == 1


def test_ctrl_c_leaves_running_what_is_to_settle(there: LocalECS, ecs: aioecs.sync.Client) -> None:
    """Under on_cancel="keep" the ARN is in the cause; in end_start_task as well."""
    there.faults.add(SLOW)
    future = ecs.begin_start_task(request(there), on_cancel="keep")
    with ctrl_c(fault_used(there)), pytest.raises(KeyboardInterrupt) as raised:
        ecs.end_start_task(future)
    start_error = find_start_error(raised.value)
    assert start_error is not None
    assert {task.task_arn for task in start_error.tasks} == {task.arn for task in there.truth.running()}
    assert len(start_error.tasks) == 1


def test_ctrl_c_ends_a_wait_and_a_watch() -> None:
    """The cause has the last known tasks; they go on."""
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


class TimeLimitError(Exception):
    """As Celery and RQ raise it in the main thread, from a signal handler."""


@pytest.mark.parametrize("raised", [TimeLimitError, SystemExit])
def test_whatever_a_signal_handler_raises_withdraws(
    there: LocalECS, ecs: aioecs.sync.Client, monkeypatch: pytest.MonkeyPatch, raised: type[BaseException]
) -> None:
    """The outcome is its cause, as that of a Ctrl-C, in start_task and in end_start_task."""

    def handle(*_: object) -> None:
        raise raised("it takes too long")

    before = signal.signal(signal.SIGINT, handle)
    try:
        for call in (ecs.start_task, lambda held: ecs.end_start_task(ecs.begin_start_task(held))):
            there.faults.add(SLOW)
            with ctrl_c(fault_used(there)), pytest.raises(raised, match="too long") as interrupted:
                call(request(there))
            start_error = find_start_error(interrupted.value)
            assert start_error is interrupted.value.__cause__
            assert start_error is not None
            assert start_error.outcome is Outcome.STOPPED
    finally:
        signal.signal(signal.SIGINT, before)
    assert there.truth.running() == []


def test_an_error_of_the_call_itself_has_no_other_cause(there: LocalECS, ecs: aioecs.sync.Client) -> None:
    """Nothing is withdrawn where nothing interrupted it: the call has ended, or could not be begun."""
    with pytest.raises(aioecs.ECSServiceError) as refused:
        ecs.start_task(request(there).replace(task_definition="unknown"))
    assert find_start_error(refused.value) is None
    ecs.close()
    with pytest.raises(aioecs.ClientStateError) as closed:
        ecs.start_task(request(there))
    assert closed.value.__cause__ is None


def test_a_second_ctrl_c_ends_the_wait(there: LocalECS) -> None:
    """Not the settling: `on_settled` gets the outcome."""
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
    """Before it was sent to the loop and just after: nothing is left behind."""
    send = Lease.send

    def sent(lease: Lease, loop_call: LoopCall[Any]) -> None:
        send(lease, loop_call)
        raise KeyboardInterrupt

    def unsent(lease: Lease, loop_call: LoopCall[Any]) -> None:
        raise KeyboardInterrupt

    for broken, begin in itertools.product((sent, unsent), (ecs.begin_start_task, ecs.start_task)):
        there.faults.add(SLOW)
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt) as raised:
            patched.setattr(Lease, "send", broken)
            begin(request(there))
        start_error = find_start_error(raised.value)
        assert start_error is not None
        assert start_error.outcome in (None, Outcome.NOT_SENT, Outcome.STOPPED)
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
    start_error = find_start_error(raised.value)
    assert start_error is not None
    assert Counter(start.outcome for start in start_error.starts).keys() <= {Outcome.STARTED, Outcome.STOPPED}
    started = {start.task.task_arn for start in start_error.starts if start.task and start.outcome is Outcome.STARTED}
    assert started == {task.arn for task in there.truth.running()}
    assert len(start_error.starts) == 10


def test_ctrl_c_together_with_the_answer_loses_nothing(
    there: LocalECS,
    ecs: aioecs.sync.Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What had come is in the cause, as it is, for one request and for many, placed, and run to the end."""
    result = LoopCall.result
    interrupted: list[object] = []

    def interrupted_result(loop_call: Any, timeout: float | None = None) -> Any:
        answer = result(loop_call, timeout)
        if threading.current_thread() is threading.main_thread() and loop_call not in interrupted:
            interrupted.append(loop_call)
            raise KeyboardInterrupt
        return answer

    full = StartTaskRequest(task_definition="demo", container_instances=[*there.instance_arns[:1], "0" * 32])
    monkeypatch.setattr(LoopCall, "result", interrupted_result)
    for call, outcomes in (
        (functools.partial(ecs.start_task, full), [Outcome.STARTED, Outcome.REFUSED]),
        (functools.partial(ecs.start_tasks, [request(there, 2)]), [Outcome.STARTED] * 2),
        (functools.partial(ecs.run_task, aioecs.RunTaskRequest(task_definition="demo")), [Outcome.STARTED]),
        (functools.partial(ecs.place_task, StartTaskRequest(task_definition="demo")), [Outcome.STARTED]),
        (functools.partial(ecs.place_task, request=StartTaskRequest(task_definition="demo")), [Outcome.STARTED]),
        (functools.partial(ecs.run, request(there), timeout=60), [Outcome.STARTED]),
    ):
        if call.func == ecs.run:
            there.engine.behaviour = attrs.evolve(there.engine.behaviour, running_seconds=0.0)
        with pytest.raises(KeyboardInterrupt) as raised:
            call()
        start_error = find_start_error(raised.value)
        assert start_error is not None
        assert [start.outcome for start in start_error.starts] == outcomes
    with pytest.raises(KeyboardInterrupt) as raised:
        ecs.list_tasks()
    assert raised.value.__cause__ is None
    monkeypatch.undo()
    assert len(there.truth.tasks()) == 7


CTRL_C = """
import json, sys, threading
from concurrent.futures import ThreadPoolExecutor
import aioecs, aioecs.sync

access, instances = json.loads(sys.argv[1])
token = aioecs.CancelToken()

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
    """A process is sent SIGINT: each task that runs was reported to a caller, and none was started twice."""

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
