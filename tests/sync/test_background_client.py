"""background_client: one loop for all, on which threads it may be used, and its opening, end and forks."""

from __future__ import annotations

import asyncio
import builtins
import json
import os
import subprocess
import sys
import threading

import anyio.to_thread
import pytest
from threaded_ecs import access, request

import aioecs
import aioecs.sync
from aioecs import (
    ClientStateError,
    ConfigurationError,
    StartTaskRequest,
)
from aioecs.testing import Fault, LocalECS

SLOW = Fault("delay", seconds=0.3)


def loops() -> int:
    """Count the background loops' threads: the local ECS's is one of them."""
    return sum("portal" in thread.name for thread in threading.enumerate())


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
def on_settled(starts, reason):
    print(reason, *[f"{start.outcome} {start.task and start.task.task_arn}" for start in starts])
ecs = aioecs.sync.Client(endpoint_url=endpoint, on_settled=on_settled, **access)
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
import json, os, sys, warnings, aioecs, aioecs.sync
warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)  # from Python 3.12 on
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
