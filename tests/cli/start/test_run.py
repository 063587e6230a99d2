"""`aioecs start`, compared with the truth of a local ECS: its text, its JSON and its exit status."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from terminal import RecordedStreams
from virtual_time import until

import aioecs
from aioecs import Outcome
from aioecs.cli._access import Access
from aioecs.cli._display.progress import progress_line
from aioecs.cli._options import Packed, Policy, UsageError
from aioecs.cli._start.options import StartOptions, validated, with_jobs
from aioecs.cli._start.run import Run
from aioecs.testing import Fault, LocalECS

REFUSED, STARTED, STOPPED = (outcome.value for outcome in (Outcome.REFUSED, Outcome.STARTED, Outcome.STOPPED))


MISSING = "0123456789abcdef0123456789abcdef"


pytestmark = pytest.mark.usefixtures("credentials")


def start_options(local: LocalECS, **options: Any) -> StartOptions:
    """Ask for starts on all instances of a local ECS."""
    where: dict[str, Any] = {
        "cluster": "default",
        "task_definition": "demo",
        "access": Access(endpoint_url=local.endpoint_url),
    }
    given: dict[str, Any] = where | ({} if "instances" in options else {"all_instances": True}) | options
    return validated(StartOptions(**given))


def placed(local: LocalECS, **options: Any) -> StartOptions:
    """Ask for starts where aioecs chooses."""
    return start_options(local, all_instances=False, **options)


def counted(**counts: int) -> Callable[[aioecs.Batch], aioecs.Statistics]:
    """Return a `Batch.statistics` that says this."""

    def statistics(_: aioecs.Batch) -> aioecs.Statistics:
        return aioecs.Statistics(**counts)

    return statistics


def interrupt(number: signal.Signals = signal.SIGINT) -> None:
    """Press Ctrl-C."""
    os.kill(os.getpid(), number)


async def test_all_started(local: LocalECS) -> None:
    """All start, round the instances; each line of JSON names a task that is there, and the counts add up."""
    streams = RecordedStreams()
    assert await Run(start_options(local, count=25), streams, as_json=True).go() == 0
    assert streams.arns(STARTED) == {task.arn for task in local.truth.running()}
    assert len(streams.starts) == streams.summary["asked"] == streams.summary["started"] == 25
    assert (streams.summary["calls"], streams.summary["container_instances"]) == (3, 3)
    assert sorted(len(call.instances) for call in local.truth.calls("StartTask")) == [5, 10, 10]
    assert streams.notes == []


async def test_what_is_given_is_sent(local: LocalECS, client: aioecs.Client) -> None:
    """Overrides, mark, group and tags reach ECS; the values of the environment are in no output."""
    streams = RecordedStreams()
    options = {"environment": (("A", "hunter2"),), "command": ("echo",), "started_by": "me", "tags": (("k", "v"),)}
    assert await Run(start_options(local, group="g", **options), streams, as_json=True).go() == 0
    (task,) = local.truth.running()
    assert (task.started_by, task.tags) == ("me", (("k", "v"),))
    described = await client.describe_tasks(aioecs.DescribeTasksRequest(tasks=[task.arn]))
    (override,) = described.tasks[0].overrides.container_overrides or ()  # type: ignore[union-attr]
    assert (override.name, override.command) == ("main", ("echo",))
    assert [(pair.name, pair.value) for pair in override.environment or ()] == [("A", "hunter2")]
    assert described.tasks[0].group == "g"
    assert "hunter2" not in "".join([*streams.lines, *streams.notes])


async def test_the_embedded_ecs() -> None:
    """With --local everything has a default, and the summary says where it ran."""
    streams = RecordedStreams()
    assert await Run(validated(StartOptions(local=True, count=1000)), streams).go() == 0
    assert streams.lines[0].startswith("1,000 started of 1,000 tasks in ")
    assert streams.lines[1].startswith("cluster default, 20 container instances, task definition demo, 100 calls, ")
    assert streams.lines[1].endswith("ran on the embedded local ECS, which is gone now")


async def test_refused_for_want_of_capacity() -> None:
    """Refusals are grouped by ECS's reason, with examples, and some that did not start make the status 1."""
    async with LocalECS(instances=2, cpu=30) as local:
        streams = RecordedStreams()
        assert await Run(start_options(local, count=20), streams).go() == 1
        assert streams.lines[0].startswith("6 started, 14 refused of 20 tasks in ")
        assert streams.lines[2] == "Refused:"
        assert streams.lines[3].startswith("  14 x RESOURCE:CPU, on ")
        assert len(local.truth.running()) == 6


async def test_placed_as_far_as_there_is_capacity() -> None:
    """Starts are spread over the instances that can take them; why the rest found none is said once."""
    async with LocalECS(instances=4, cpu=30) as local:
        away, agentless, *_ = local.instance_arns
        local.engine.drain(away)
        local.engine.set_agent(agentless, connected=False)
        streams = RecordedStreams()
        assert await Run(placed(local, count=20), streams).go() == 1
        assert streams.lines[0].startswith("6 started, 14 refused of 20 tasks in ")
        assert streams.lines[1].startswith("cluster default, 2 container instances, task definition demo, 1 call, ")
        assert streams.lines[2:5] == [
            "Refused:",
            "  14 x RESOURCE:CPU",
            "    no container instance has capacity: RESOURCE:CPU on 2, AGENT on 1",
        ]
        assert sorted(Counter(task.container_instance_arn for task in local.truth.running()).values()) == [3, 3]


async def test_placed_as_asked(local: LocalECS) -> None:
    """The options reach the placement: as few instances as possible, of those that match, each one once."""
    red = local.engine.add_instances(3, attributes={"colour": "red"})
    packed = placed(local, count=5, binpack=Packed.CPU, member_of=("attribute:colour == red",))
    assert await Run(packed, RecordedStreams()).go() == 0
    (host,) = {task.container_instance_arn for task in local.truth.running()}
    assert host in red
    streams = RecordedStreams()
    distinct = placed(local, count=4, random=True, distinct_instance=True, member_of=("attribute:colour == red",))
    assert await Run(distinct, streams, as_json=True).go() == 1
    assert {start["container_instance"] for start in streams.starts} == {*red, None}
    assert (streams.summary["started"], streams.summary["refusals"]) == (3, {"DistinctInstance": 1})


@pytest.mark.parametrize(("code", "status"), [(0, 0), (3, 1)])
async def test_waited_for(code: int, status: int) -> None:
    """With --wait it ends when the tasks have, and the status is theirs."""
    async with LocalECS(running_seconds=0.2, exit_code=code) as local:
        streams = RecordedStreams()
        assert await Run(placed(local, count=4, wait=True), streams).go() == status
        assert streams.lines[0].startswith("4 started of 4 tasks")
        assert streams.notes[:1] == ([] if code == 0 else ["4 of 4 failed"])
        assert len(streams.notes) == (0 if code == 0 else 5)
    heading, *rows = streams.lines[-5:]
    assert heading.split()[:3] == ["TASK", "STATUS", "EXIT"]
    assert [row.split()[1:3] for row in rows] == [["STOPPED", str(code)]] * 4


async def test_waited_for_no_longer_than_asked(local: LocalECS) -> None:
    """With --timeout the wait ends, and the tasks go on; that is said once."""
    streams = RecordedStreams()
    assert await Run(placed(local, count=2, wait=True, timeout=0), streams).go() == 1
    assert len(local.truth.running()) == 2
    assert [note.count("not STOPPED after 0 s") for note in streams.notes] == [1]
    with pytest.raises(UsageError, match="--timeout needs --wait"):
        placed(local, timeout=3)


async def test_interrupted_while_it_waits(local: LocalECS) -> None:
    """The tasks go on, and what started was reported before."""
    streams = RecordedStreams()
    running = asyncio.create_task(Run(placed(local, count=2, wait=True), streams).go())
    await until(lambda: streams.lines)
    interrupt()
    assert await running == 130
    assert len(local.truth.running()) == 2


async def test_spread_over_an_attribute_that_nobody_has(local: LocalECS) -> None:
    """It is a slip of the pen, and nothing is started."""
    streams = RecordedStreams()
    assert await Run(placed(local, spread="nope"), streams).go() == 2
    assert streams.notes == ["aioecs: --spread: no container instance of cluster default has the attribute nope"]
    assert not local.truth.requests["StartTask"]


async def test_a_count_without_end_costs_nothing(local: LocalECS) -> None:
    """A thousand million, interrupted: what was not sent is a number."""
    streams = RecordedStreams(lambda line: interrupt() if line == 10 else None)
    assert await Run(placed(local, count=10**9, concurrency=2), streams, as_json=True).go() == 130
    assert streams.arns(STARTED) == {task.arn for task in local.truth.running()}
    assert len(streams.lines) < 5000
    assert sum(streams.summary[name] for name in ("started", "stopped", "refused", "not_sent", "unknown")) == 10**9


async def test_placed_where_capacity_becomes_free() -> None:
    """With --wait-for-capacity what finds none waits for it."""
    async with LocalECS(instances=1, cpu=10) as local:
        streams = RecordedStreams(lambda line: local.engine.add_instances(1) if line == 1 else None)
        assert await Run(placed(local, count=3, wait_for_capacity=0.2), streams, as_json=True).go() == 0
        assert streams.summary["container_instances"] == 2


@pytest.mark.parametrize("where", ["placed", "named"])
async def test_how_many_wait_for_capacity(where: str) -> None:
    """The progress says it, wherever they wait."""
    async with LocalECS(instances=1, cpu=10) as local:
        streams = RecordedStreams()
        options = placed if where == "placed" else start_options
        run = Run(options(local, count=3, wait_for_capacity=600.0), streams, as_json=True)
        task = asyncio.create_task(run.go())
        await until(lambda: run.report().waiting == 2)
        assert "2 waiting for capacity" in progress_line(run.report()).plain
        interrupt()
        await task
        assert run.report().waiting == 0


async def test_interrupted_during_placement_looks_up() -> None:
    """While the instances are listed, a signal ends it with nothing sent."""
    async with LocalECS(faults=[Fault("hang", operation="ListContainerInstances")]) as local:
        streams = RecordedStreams()
        task = asyncio.create_task(Run(placed(local, count=5), streams).go())
        await until(lambda: local.truth.requests["ListContainerInstances"] > 0)
        interrupt()
        assert await task == 130
        assert streams.lines[0].startswith("0 started, 5 not sent of 5 tasks in ")
        assert not local.truth.requests["StartTask"]


async def test_interrupted_during_placement(local: LocalECS) -> None:
    """After a signal each start is reported once, and truthfully."""
    streams = RecordedStreams(lambda line: interrupt() if line == 10 else None)
    assert await Run(placed(local, count=3000, concurrency=3), streams, as_json=True).go() == 130
    assert streams.arns(STARTED) == {task.arn for task in local.truth.running()}
    assert streams.arns(STOPPED) == {task.arn for task in local.truth.tasks() if not task.live}
    summary = streams.summary
    assert 0 < summary["started"] < 3000
    assert summary["started"] + summary["stopped"] + summary["not_sent"] == 3000


async def test_interrupted_while_it_waits_for_capacity() -> None:
    """What waits for capacity was never sent."""
    async with LocalECS(instances=1, cpu=10) as local:
        streams = RecordedStreams(lambda line: interrupt() if line == 1 else None)
        assert await Run(placed(local, count=3, wait_for_capacity=600.0), streams, as_json=True).go() == 130
        assert [start["outcome"] for start in streams.starts] == [STARTED, "not_sent", "not_sent"]


async def test_instances_that_are_not_there(local: LocalECS) -> None:
    """Only named instances are used; ECS refuses one that isn't there."""
    streams = RecordedStreams()
    instance = local.instance_arns[0]
    assert await Run(start_options(local, instances=(instance, MISSING), count=4), streams, as_json=True).go() == 1
    assert {(start["outcome"], start["reason"]) for start in streams.starts} == {(STARTED, None), (REFUSED, "MISSING")}
    assert {task.container_instance_arn for task in local.truth.running()} == {instance}


# -------------------------------------------------------------------------------------------------- nothing could start


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cluster": "none"}, "ClusterNotFoundException on ListContainerInstances: "),
        ({"cluster": "none", "all_instances": False}, "ClusterNotFoundException on ListContainerInstances: "),
        ({"task_definition": "none", "all_instances": False}, "ClientException on DescribeTaskDefinition: "),
        ({"member_of": ("colour is red",), "all_instances": False}, "Invalid filter expression"),
        ({"cluster": "empty"}, "cluster empty has no ACTIVE container instance"),
        ({"cluster": "none", "instances": ("a",)}, "nothing was started: ClusterNotFoundException on StartTask: "),
        ({"task_definition": "none"}, "nothing was started: ClientException on StartTask: "),
        ({"task_definition": "none", "command": ("x",)}, "ClientException on DescribeTaskDefinition: "),
        ({"access": Access(profile="none")}, "none"),
        ({"access": Access(endpoint_url="http://127.0.0.1:9")}, "127.0.0.1:9"),
    ],
)
async def test_nothing_could_start(local: LocalECS, options: dict[str, Any], message: str) -> None:
    """What can't be done is one line of stderr, without a summary or a traceback."""
    local.engine.add_cluster("empty")
    streams = RecordedStreams()
    assert await Run(start_options(local, **options), streams).go() == 2
    assert streams.lines == []
    (print_note,) = streams.notes
    assert print_note.startswith("aioecs: ")
    assert message in print_note
    assert not local.truth.tasks()


async def test_nothing_could_start_in_json(local: LocalECS) -> None:
    """In JSON the starts and the summary are there all the same."""
    streams = RecordedStreams()
    assert await Run(start_options(local, task_definition="none", count=3), streams, as_json=True).go() == 2
    assert (len(streams.starts), streams.summary["refused"], streams.summary["exit_status"]) == (3, 3, 2)
    assert len(streams.notes) == 1


async def test_a_fault_of_a_lookup(local: LocalECS, monkeypatch: pytest.MonkeyPatch) -> None:
    """What may pass by itself is no usage error: nothing started, and another try may help."""

    def throttled(*_: object) -> None:
        raise aioecs.ThrottlingException("Rate exceeded", operation="ListContainerInstances")

    monkeypatch.setattr(aioecs.Client, "list_container_instances", throttled)
    streams = RecordedStreams()
    assert await Run(start_options(local), streams).go() == 1
    assert streams.notes == ["aioecs: ThrottlingException on ListContainerInstances: Rate exceeded"]


# ---------------------------------------------------------------------------------------------------------- interrupted


@pytest.mark.parametrize(("number", "policy"), [(signal.SIGINT, Policy.STOP), (signal.SIGTERM, Policy.KEEP)])
async def test_interrupted(local: LocalECS, number: signal.Signals, policy: Policy) -> None:
    """After a signal each start is reported truthfully, and the rest was never sent."""
    streams = RecordedStreams(lambda line: interrupt(number) if line == 10 else None)
    run = Run(start_options(local, count=1000, concurrency=3, on_cancel=policy), streams, as_json=True)
    assert await run.go() == 130
    truth = local.truth
    assert streams.arns(STARTED) == {task.arn for task in truth.running()}
    assert streams.arns(STOPPED) == {task.arn for task in truth.tasks() if not task.live}
    summary = streams.summary
    assert summary["interrupted"] == number.name
    assert 0 < summary["started"] < 1000
    assert summary["unknown"] == summary["unsettled"] == 0
    assert summary["started"] + summary["stopped"] == len(truth.tasks())
    assert summary["started"] + summary["stopped"] + summary["not_sent"] == 1000
    assert policy is Policy.STOP or summary["stopped"] == 0


async def test_interrupted_before_anything_was_sent() -> None:
    """A signal while the instances are listed ends it with nothing sent."""
    async with LocalECS(faults=[Fault("hang", operation="ListContainerInstances")]) as local:
        streams = RecordedStreams()
        task = asyncio.create_task(Run(start_options(local, count=5), streams).go())
        await until(lambda: local.truth.requests["ListContainerInstances"] > 0)
        interrupt()
        assert await task == 130
        assert streams.lines[0].startswith("0 started, 5 not sent of 5 tasks in ")
        assert "Interrupted: SIGINT" in streams.lines
        assert not local.truth.requests["StartTask"]


async def test_a_second_signal_ends_at_once(local: LocalECS, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second signal waits for nothing: what is known is reported, and what was in flight is unresolved."""
    known = aioecs.StartResult(
        request=aioecs.StartTaskRequest(task_definition="demo"), container_instance="i1", outcome=Outcome.STARTED
    )
    answered = asyncio.Event()

    async def slow(*_: object, **__: object) -> Any:
        yield known
        await answered.wait()

    monkeypatch.setattr(aioecs.Batch, "start_tasks", slow)
    monkeypatch.setattr(aioecs.Batch, "statistics", counted(requested=20, calls=2))
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    streams = RecordedStreams(lambda line: interrupt() if line == 1 else None)
    run = Run(start_options(local, count=100), streams, as_json=True, end=ended.set_result)
    task = asyncio.create_task(run.go())
    await until(lambda: run.report().interrupted is not None)
    interrupt()
    assert await ended == 130
    assert streams.halted
    counts = {
        name: streams.summary[name] for name in ("started", "unsettled", "not_sent", "interrupted", "exit_status")
    }
    assert counts == {
        "started": 1,
        "unsettled": 19,
        "not_sent": 80,
        "interrupted": "SIGINT",
        "exit_status": 130,
    }
    answered.set()
    await task  # a test can't end the process: it goes on, and reports nothing twice
    assert len(streams.lines) == 2


async def test_nobody_reads_the_output(local: LocalECS) -> None:
    """When the reader goes away no more is started, and what was started is reported."""
    streams = RecordedStreams(lambda line: streams.on_broken() if line == 1 else None)
    assert await Run(start_options(local, count=1000, concurrency=2), streams, as_json=True).go() == 130
    assert streams.summary["interrupted"] == "nobody reads the output any more"
    assert 0 < streams.summary["started"] < 1000
    assert streams.arns(STARTED) == {task.arn for task in local.truth.running()}


# ------------------------------------------------------------------------------------------------------------- the rest


async def test_unknown_is_said_with_its_token(local: LocalECS, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown start is reported last, with its token."""
    request = aioecs.StartTaskRequest(task_definition="demo", container_instances=["i1"])
    unknown = aioecs.StartResult(request=request, container_instance="i1", outcome=Outcome.UNKNOWN, token="t0k3n")

    async def one(*_: object, **__: object) -> Any:
        yield unknown

    monkeypatch.setattr(aioecs.Batch, "start_tasks", one)
    monkeypatch.setattr(aioecs.Batch, "statistics", counted(requested=1, calls=1))
    streams = RecordedStreams()
    assert await Run(start_options(local), streams).go() == 1
    assert streams.lines[0].startswith("0 started, 1 UNKNOWN of 1 task in ")
    assert (
        streams.lines[-1] == f"  aioecs tasks --cluster default --started-by t0k3n --endpoint-url {local.endpoint_url}"
    )


@pytest.mark.parametrize("kind", [aioecs.ClientStateError, ValueError])
async def test_an_error_in_the_middle(local: LocalECS, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]) -> None:
    """After any error what was started is reported: with a line for what aioecs raises, else with a traceback."""
    whole = aioecs.Batch.start_tasks

    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        async for start in whole(*args, **kwargs):
            yield start
            raise kind("in the middle")

    monkeypatch.setattr(aioecs.Batch, "start_tasks", wrapped)
    streams = RecordedStreams()
    running = Run(start_options(local, count=10), streams).go()
    if kind is ValueError:
        with pytest.raises(ValueError, match="in the middle"):
            await running
    else:
        assert await running == 1
        assert streams.notes == ["aioecs: in the middle"]
    assert streams.lines[0].startswith("1 started, 9 UNSETTLED of 10 tasks in ")


async def test_an_error_after_an_interrupt(local: LocalECS, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that comes after a signal doesn't hide that it was interrupted."""

    run = Run(start_options(local), RecordedStreams())

    async def wrapped(*_: object, **__: object) -> Any:
        interrupt()
        await until(lambda: run.report().interrupted is not None)
        for error in [aioecs.ClientStateError("late")]:
            raise error
            yield

    monkeypatch.setattr(aioecs.Batch, "start_tasks", wrapped)
    assert await run.go() == 130


async def test_progress_and_time(local: LocalECS, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a terminal shows it the line moves, and the clock that counts is the one that was given."""
    shown: list[object] = []
    streams = RecordedStreams()
    live_display = streams.live_display

    def shows_progress(*, as_json: bool) -> bool:
        return not as_json

    monkeypatch.setattr(streams, "shows_progress", shows_progress)

    def spied(render: Callable[[int], Any]) -> Any:
        shown.append(render(80))
        return live_display(render)

    monkeypatch.setattr(streams, "live_display", spied)
    clock = iter(range(0, 1000, 8))
    run = Run(start_options(local, count=16), streams, clock=lambda: float(next(clock)))
    assert run.report().seconds == 0
    assert await run.go() == 0
    assert len(shown) == 1
    assert "16 started of 16 tasks in " in streams.lines[0]
    assert run.report().seconds % 8 == 0
    assert run.report() == run.report()


# ---------------------------------------------------------------------------------------------------------------- jobs


def with_lines(local: LocalECS, *lines: dict[str, Any], **options: Any) -> StartOptions:
    """Ask for jobs that are placed."""
    return with_jobs(placed(local, jobs=(), **options), [json.dumps(line) for line in lines])


async def test_jobs(local: LocalECS, client: aioecs.Client) -> None:
    """Each is started as its line says, and each result names its job."""
    streams = RecordedStreams()
    lines = [{"name": f"frame {n}", "environment": {"FRAME": n}, "cpu": 10 + n} for n in range(25)]
    assert await Run(with_lines(local, *lines), streams, as_json=True).go() == 0
    started = {start["job"]: start["task_arn"] for start in streams.starts}
    assert sorted(started) == sorted(f"frame {n}" for n in range(25))
    described = await client.describe_tasks(aioecs.DescribeTasksRequest(tasks=list(started.values())))
    tasks = {task.arn: task for task in described.tasks}
    for n in range(25):
        overrides = tasks[started[f"frame {n}"]].overrides
        assert overrides is not None
        assert overrides.cpu == str(10 + n)
        [container] = overrides.container_overrides or ()
        assert container.environment == (aioecs.KeyValuePair(name="FRAME", value=str(n)),)
    assert (streams.summary["asked"], streams.summary["started"]) == (25, 25)


async def test_jobs_on_their_own_instances(local: LocalECS) -> None:
    """A job may name where it goes."""
    streams = RecordedStreams()
    chosen = [*reversed(local.instance_arns), local.instance_arns[1]]
    lines = [{"containerInstances": [arn]} for arn in chosen]
    assert await Run(with_lines(local, *lines), streams, as_json=True).go() == 0
    expected = {str(number): arn for number, arn in enumerate(chosen, 1)}
    assert {start["job"]: start["container_instance"] for start in streams.starts} == expected


@pytest.mark.parametrize("where", ["jobs", "count", "instances"])
async def test_the_same_key_again(local: LocalECS, where: str) -> None:
    """A second run with the same key finds what the first has started, and says so."""
    runs: list[list[dict[str, Any]]] = []
    for _ in range(2):
        streams = RecordedStreams()
        if where == "jobs":
            options = with_lines(local, {"name": "a"}, {"name": "b", "cpu": 11}, idempotency_key="nightly")
        elif where == "count":
            options = placed(local, count=12, idempotency_key="nightly")
        else:
            options = asked_on(local, count=12, idempotency_key="nightly")
        assert await Run(options, streams, as_json=True).go() == 0
        runs.append(streams.starts)
    first, second = ({start["task_arn"] for start in run} for run in runs)
    assert first == second
    assert len(local.truth.tasks()) == len(first)
    assert {start["found"] for start in runs[0]} == {False}
    assert {start["found"] for start in runs[1]} == {True}


def asked_on(local: LocalECS, **options: Any) -> StartOptions:
    """Ask for starts on instances that are named."""
    return start_options(local, instances=tuple(local.instance_arns), **options)
