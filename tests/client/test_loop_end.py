"""loop_end: a client that nobody closed, and what signals leave of its requests."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import subprocess
import sys
from typing import Any

import pytest
from threaded_ecs import access, arrived, local_ecs_on_thread, until

import aioecs
from aioecs._client.loop_end import REMEDY, watch_loop_end
from aioecs.testing import Fault


async def test_it_is_called_at_the_end_of_the_loop_and_not_before() -> None:
    """Once, whether the loop closes it or its owner does."""
    ended: list[str] = []

    async def left_open() -> None:
        ended.append("ended")

    watch = watch_loop_end(left_open)
    await anext(watch)
    assert not ended
    await watch.aclose()
    await watch.aclose()
    assert ended == ["ended"]


@pytest.mark.parametrize("in_flight", [False, True])
def test_a_client_that_is_never_closed(in_flight: bool, caplog: pytest.LogCaptureFixture) -> None:
    """One warning names it and the remedy; its connections are closed, and the tasks of cancelled calls are stopped."""

    async def main() -> None:
        client = await aioecs.Client(**access(local)).aopen()
        await client.start_task(request)
        if in_flight:
            local.faults.add(Fault("hang", when="after"))
            keep.append(asyncio.create_task(client.start_task(request)))
            while local.truth.requests["StartTask"] < 2:
                await asyncio.sleep(0.01)
        keep.append(client)

    keep: list[Any] = []
    with local_ecs_on_thread(instances=1) as local:
        request = aioecs.StartTaskRequest(task_definition="demo", container_instances=[local.instance_arns[0]])
        with pytest.warns(ResourceWarning, match="left open at the end of its event loop") as warned:
            asyncio.run(main())
        assert len(local.truth.running()) == 1
    (line,) = [record.getMessage() for record in caplog.records if "left open" in record.getMessage()]
    assert REMEDY in line
    assert "us-east-1 at http://" in line
    assert [str(each.message) for each in warned] == [line]
    assert "already running" not in caplog.text
    assert repr(keep[-1]) == "<aioecs.Client closed>"


def test_a_loop_that_closes_nothing() -> None:
    """Without `asyncio.run` a loop may end without closing anything: the garbage collector finds the client."""
    with local_ecs_on_thread(instances=1) as local:
        loop = asyncio.new_event_loop()
        client = loop.run_until_complete(aioecs.Client(**access(local)).aopen())
        loop.run_until_complete(client._stack.aclose())
        loop.close()
        del client
        with pytest.warns(ResourceWarning, match="left open"):
            gc.collect()


INTERRUPTED = """
import asyncio, json, logging, sys, aioecs

handler = logging.StreamHandler(sys.stdout)  # asyncio logs too, under -X dev, and its records have no outcome
handler.setFormatter(logging.Formatter("%(message)s | %(outcome)s %(token)s", defaults={"outcome": "", "token": ""}))
logging.basicConfig(handlers=[handler], level=logging.INFO)
settings, instance = json.loads(sys.argv[1])

async def main():
    async with aioecs.Client(**settings, timeouts=aioecs.Timeouts(settle=1, drain=1)) as ecs:
        await ecs.start_task(aioecs.StartTaskRequest(task_definition="demo", container_instances=[instance]))

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
"""


IN_A_LOOKUP = """
import os, signal
from aioecs._transport.transport import SentMarker

begin_body = SentMarker.begin_body

def begin_and_interrupt(self):
    begin_body(self)
    if requests.pop():
        os.kill(os.getpid(), signal.SIGINT)

requests = [False] * 1000 + [True, False]  # the first is the start, and the second a lookup
SentMarker.begin_body = begin_and_interrupt
"""


def test_a_second_ctrl_c_in_the_step_of_a_lookup_loses_nothing() -> None:
    """The KeyboardInterrupt is raised out of the loop once: the log has the token as UNKNOWN, as elsewhere."""
    hangs = [Fault("hang", operation=name, times=None) for name in ("ListTasks", "DescribeTasks")]
    with local_ecs_on_thread(instances=1, faults=[Fault("hang", when="after"), *hangs]) as local:
        settings = json.dumps([access(local), local.instance_arns[0]])
        command = [sys.executable, "-c", IN_A_LOOKUP + INTERRUPTED, settings]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            until(arrived(local))
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=20)
        (task,) = local.truth.tasks()
        assert said.splitlines()[-1] == "interrupted"
        assert f"| unknown {task.started_by}" in said


def test_a_second_ctrl_c_neither_hangs_nor_loses_what_was_sent() -> None:
    """Where ECS answers nothing any more: the process ends by its clocks, and the log has the token as UNKNOWN."""
    hangs = [Fault("hang", operation=name, times=None) for name in ("ListTasks", "DescribeTasks")]
    with local_ecs_on_thread(instances=1, faults=[Fault("hang", when="after"), *hangs]) as local:
        settings = json.dumps([access(local), local.instance_arns[0]])
        command = [sys.executable, "-c", INTERRUPTED, settings]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            until(arrived(local))
            process.send_signal(signal.SIGINT)
            until(arrived(local, "ListTasks"))
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=20)
        (task,) = local.truth.tasks()
        assert process.returncode == 0
        assert said.splitlines()[-1] == "interrupted"
        assert (
            f"token {task.started_by} is not known yet; the client goes on, and logs it | unknown {task.started_by}"
            in said
        )
        assert "Traceback" not in said
