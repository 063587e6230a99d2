"""logs: the lines of tasks, over HTTP from the local ECS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
from botocore.exceptions import CredentialRetrievalError

import aioecs
from aioecs import CancelToken, StartTaskRequest
from aioecs._transport.settings import Settings
from aioecs._transport.transport_factory import make_session
from aioecs.errors import AnswerLost, ConfigurationError, InvalidRequest, TaskFailed, TaskMissing, WaitCancelled
from aioecs.testing import Fault, LocalECS

LOG = {
    "logDriver": "awslogs",
    "options": {"awslogs-group": "/ecs/demo", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p"},
}
WRITTEN = [(number / 20, f"line {number}") for number in range(10)]


@pytest.fixture
async def logged(local: LocalECS) -> LocalECS:
    """Serve a local ECS whose tasks write ten lines in half a second, and fail then."""
    side = {"name": "side", "memory": 4, "essential": False, "logConfiguration": LOG}
    main = {"name": "main", "memory": 4, "logConfiguration": LOG}
    local.engine.add_task_definition("logged", containers=[main, side])
    local.engine.behaviour = attrs.evolve(local.engine.behaviour, running_seconds=0.6, exit_code=4, output=WRITTEN)
    return local


def request(local: LocalECS, definition: str = "logged") -> StartTaskRequest:
    return StartTaskRequest(task_definition=definition, container_instances=local.instance_arns[:1])


async def test_following_a_task(logged: LocalECS, client: aioecs.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line once and in order, with its container and time, through throttles and resets."""
    monkeypatch.setattr("aioecs._client.log_poller.GRACE", 0.5)
    logged.faults.set(
        [Fault("throttle", operation="GetLogEvents", skip=1), Fault("reset", operation="GetLogEvents", skip=2)]
    )
    (task,) = (await client.start_task(request(logged))).tasks
    lines = [line async for line in client.logs(task, follow=True)]
    assert [(line.container, line.text) for line in lines] == [("main", text) for _, text in WRITTEN]
    assert [line.time for line in lines] == sorted(line.time for line in lines)
    again = [line.text async for line in client.logs(task.arn, container="main")]
    assert again == [text for _, text in WRITTEN]


async def test_following_many_tasks(logged: LocalECS, client: aioecs.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the first few, the streams of a group are read together; each line once and in order."""
    for module in ("log_poller", "log_group"):
        monkeypatch.setattr(f"aioecs._client.{module}.GRACE", 0.5)
    monkeypatch.setattr("aioecs._client.log_poller.MAX_READ_SINGLY", 1)
    logged.faults.set([Fault("throttle", operation="FilterLogEvents", skip=1)])
    report = await client.start_tasks([request(logged)] * 6)
    texts: dict[str, list[str]] = {}

    async def follow(arn: str) -> None:
        texts[arn] = [line.text async for line in client.logs(arn, follow=True, container="main")]

    async with anyio.create_task_group() as group:
        for task in report.tasks:
            group.start_soon(follow, task.arn)
    assert texts == {task.arn: [text for _, text in WRITTEN] for task in report.tasks}
    assert logged.truth.requests["FilterLogEvents"] >= 2


async def test_several_containers(logged: LocalECS, client: aioecs.Client) -> None:
    """Each line says whose it is; one container can be read alone."""
    logged.engine.behaviour = attrs.evolve(logged.engine.behaviour, running_seconds=None, output=None)
    (task,) = (await client.start_task(request(logged))).tasks
    logged.engine.write_log(task.arn, "from main")
    logged.engine.write_log(task.arn, "from side", container="side")
    assert {(line.container, line.text) async for line in client.logs(task)} == {
        ("main", "from main"),
        ("side", "from side"),
    }
    assert [line.text async for line in client.logs(task, container="side")] == ["from side"]


async def test_the_last_lines_of_a_task_that_failed(logged: LocalECS, client: aioecs.Client) -> None:
    """They are in its result and its error, and in no message; a task that succeeded has none read."""
    result = await client.run(request(logged), log_lines=3)
    assert [line.text for line in result.log_tail] == ["line 7", "line 8", "line 9"]
    with pytest.raises(TaskFailed) as caught:
        result.raise_for_status()
    assert caught.value.log_tail == result.log_tail
    assert "line 9" not in f"{caught.value}{result!r}"
    assert caught.value.redacted().log_tail == ()
    assert (await client.run(request(logged), log_lines=0)).log_tail == await client.log_tail(result, 0) == ()
    assert [line.text for line in await client.log_tail(result, 2)] == ["line 8", "line 9"]
    for count in (-1, 10_001, 1.5, True, "5"):
        with pytest.raises(InvalidRequest, match=r"^count: a whole number from 0 to 10,000"):
            await client.log_tail(result, count)  # type: ignore[arg-type]
        with pytest.raises(InvalidRequest, match=r"^log_lines: a whole number from 0 to 10,000"):
            await client.run(request(logged), log_lines=count)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match=r"^result: of the kind TaskResult"):
        await client.log_tail(result.task)  # type: ignore[arg-type]
    logged.engine.behaviour = attrs.evolve(logged.engine.behaviour, exit_code=0)
    reads = logged.truth.requests["GetLogEvents"]
    assert (await client.run(request(logged))).succeeded is True
    assert logged.truth.requests["GetLogEvents"] == reads


async def test_a_log_that_may_not_be_read(logged: LocalECS, client: aioecs.Client) -> None:
    """A result comes without it; a caller that requests the log itself gets the error."""
    logged.engine.denied.add("GetLogEvents")
    result = await client.run(request(logged))
    assert (result.succeeded, result.log_tail) == (False, ())
    with pytest.raises(aioecs.AccessDeniedException, match="CloudWatch Logs"):
        [line async for line in client.logs(result.task)]


async def test_a_client_of_the_logs_that_can_not_be_opened(
    logged: LocalECS, client: aioecs.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result comes without its log, a caller that requests the log gets the error, and later calls try again."""
    failed = CredentialRetrievalError(provider="custom-process", error_msg="secret")
    sessions = [failed, failed]

    def session_or_error(settings: Settings) -> Any:
        if sessions:
            raise sessions.pop()
        return make_session(settings)

    monkeypatch.setattr("aioecs._client.services.make_session", session_or_error)
    result = await client.run(request(logged))
    assert (result.succeeded, result.log_tail) == (False, ())
    with pytest.raises(ConfigurationError, match="CloudWatch Logs"):
        [line async for line in client.logs(result.task)]
    assert [line.text async for line in client.logs(result.task)] == [text for _, text in WRITTEN]


@pytest.mark.parametrize("source", [CancelToken, anyio.CancelScope])
async def test_a_cancel_ends_the_reading(logged: LocalECS, client: aioecs.Client, source: Any) -> None:
    """At once; the task goes on."""
    logged.engine.behaviour = attrs.evolve(logged.engine.behaviour, running_seconds=None)
    (task,) = (await client.start_task(request(logged))).tasks
    stop = source()
    found = 0
    with pytest.raises(WaitCancelled):
        async for _ in client.logs(task, stop, follow=True):
            found += 1
            stop.cancel()
    assert found == 1
    with pytest.raises(WaitCancelled):
        [line async for line in client.logs(task, stop)]


async def test_leaving_the_loop_ends_the_reading(logged: LocalECS, client: aioecs.Client) -> None:
    """Nothing reads on."""
    logged.engine.behaviour = attrs.evolve(logged.engine.behaviour, running_seconds=None)
    (task,) = (await client.start_task(request(logged))).tasks
    lines = client.logs(task, follow=True)
    async for _ in lines:
        break
    await lines.aclose()
    reads = logged.truth.requests["GetLogEvents"]
    await anyio.sleep(0.05)
    assert logged.truth.requests["GetLogEvents"] == reads


async def test_what_has_no_log(logged: LocalECS, client: aioecs.Client) -> None:
    """It says which log drivers there are."""
    (task,) = (await client.start_task(request(logged, "demo"))).tasks
    with pytest.raises(InvalidRequest, match="log drivers: none"):
        [line async for line in client.logs(task)]
    with pytest.raises(TaskMissing):
        [line async for line in client.logs("0" * 32, cluster="default")]
    logged.engine.denied.add("DescribeTaskDefinition")
    (task,) = (await client.start_task(request(logged))).tasks
    with pytest.raises(InvalidRequest, match="can be read"):
        [line async for line in client.logs(task)]


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"AWS_ENDPOINT_URL_ECS": "local"}, True),
        ({"AWS_ENDPOINT_URL": "local"}, True),
        ({"AWS_ENDPOINT_URL_ECS": "local", "AWS_ENDPOINT_URL_LOGS": "nowhere"}, False),
        ({"AWS_CONFIG_FILE": "[default]\nservices = s\n[services s]\necs =\n  endpoint_url = local\n"}, True),
        (
            {
                "AWS_CONFIG_FILE": "[default]\nservices = s\n[services s]\necs =\n  endpoint_url = local\n"
                "logs =\n  endpoint_url = nowhere\n"
            },
            False,
        ),
    ],
)
async def test_a_local_endpoint_from_the_environment(
    variables: dict[str, str], found: bool, logged: LocalECS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logs are read there as well, unless they have an endpoint of their own; never from AWS itself."""
    for name, value in variables.items():
        text = value.replace("local", logged.endpoint_url).replace("nowhere", "http://127.0.0.1:9")
        (tmp_path / name).write_text(text)
        monkeypatch.setenv(name, str(tmp_path / name) if name == "AWS_CONFIG_FILE" else text)
    monkeypatch.setattr("aioecs._client.log_poller.MAX_FAILURES", 1)
    async with aioecs.Client("us-east-1", aws_access_key_id="x", aws_secret_access_key="x") as client:
        result = await client.run(request(logged), log_lines=0)
        lines = client.logs(result.task)
        if found:
            assert [line.text async for line in lines] == [text for _, text in WRITTEN]
        else:
            with pytest.raises(AnswerLost):
                [line async for line in lines]
