"""The pytest plugin, as a user's own suite meets it; each suite here runs in this process, on a project of its own."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import pytest

from aioecs.testing import plugin

pytest_plugins = ["pytester"]

Run = Callable[[str, str], pytest.RunResult]

SUITE = """
import os
import pytest, aioecs
from aioecs.testing import Fault, VirtualClock

@pytest.fixture
def job():
    async def job(ecs, instances):
        request = aioecs.StartTaskRequest(task_definition="demo", container_instances=instances)
        return await ecs.start_task(request)
    return job

pytestmark = [pytest.mark.local_ecs(instances=5), MODE]

@pytest.mark.local_ecs(instances=2, faults=[Fault("reset", when="after")])
async def test_a_lost_answer(local_ecs, ecs_client, job):
    response = await job(ecs_client, local_ecs.instance_arns)
    assert sorted(task.task_arn for task in response.tasks) == sorted(task.arn for task in local_ecs.truth.tasks())
    assert len(local_ecs.truth.tasks()) == 2
    assert local_ecs.truth.duplicates() == []

@pytest.mark.ecs_client(max_in_flight=7)
async def test_settings(local_ecs, ecs_client):
    assert len(local_ecs.instance_arns) == 5
    assert "0/7 in flight" in repr(ecs_client)

@pytest.mark.local_ecs(clock=VirtualClock(at=0), pending_seconds=60)
async def test_the_clock(local_ecs, ecs_client, job):
    (task,) = (await job(ecs_client, local_ecs.instance_arns[:1])).tasks
    assert local_ecs.truth.task(task.task_arn).last_status == "PENDING"
    local_ecs.clock.advance(60)
    answer = await ecs_client.describe_tasks(aioecs.DescribeTasksRequest(tasks=[task.task_arn]))
    assert answer.tasks[0].last_status == "RUNNING"

@pytest.mark.usefixtures("local_ecs_environment")
async def test_code_that_makes_its_own_client(local_ecs, job):
    async with aioecs.Client() as ecs:
        await job(ecs, local_ecs.instance_arns)
    assert len(local_ecs.truth.tasks()) == 5

async def test_the_environment(no_aws_environment):
    assert not [name for name in os.environ if name.startswith("AWS_") and "FILE" not in name and "EC2" not in name]
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a suite with the plugin, in a mode of pytest-asyncio, with warnings as errors."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # loading them for each run takes seconds
    monkeypatch.setenv("AWS_PROFILE", "the-machine-s-own")

    def run(code: str, mode: str) -> pytest.RunResult:
        pytester.makeconftest(f"pytest_plugins = [{plugin.__name__!r}]")
        pytester.makepyfile(code)
        # That the plugin is imported already is so only because this process imports it too.
        imported = "ignore:Module already imported:pytest.PytestAssertRewriteWarning"
        options = (
            "-p",
            "no:cacheprovider",
            "-p",
            "pytest_asyncio.plugin",
            "--strict-markers",
            "-W",
            "error",
            "-W",
            imported,
        )
        modes = ("-o", f"asyncio_mode={mode}", "-o", "asyncio_default_fixture_loop_scope=function")
        return pytester.runpytest_inprocess(*options, *modes)

    return run


@pytest.mark.parametrize(
    ("mode", "mark"), [("auto", "pytest.mark.filterwarnings('error')"), ("strict", "pytest.mark.asyncio")]
)
def test_a_users_suite(suite: Run, mode: str, mark: str) -> None:
    """All fixtures and markers work, in auto mode and in strict mode, without a warning."""
    suite(SUITE.replace("MODE", mark), mode).assert_outcomes(passed=5)


def test_a_wrong_setting_of_a_marker_is_reported(suite: Run) -> None:
    """A positional setting, and an unknown one."""
    result = suite(
        """
        import pytest

        @pytest.mark.local_ecs(3)
        def test_by_place(local_ecs): ...

        @pytest.mark.local_ecs(nodes=3)
        def test_unknown(local_ecs): ...
        """,
        "strict",
    )
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*local_ecs takes keyword arguments only*", "*unexpected keyword argument 'nodes'*"])


def test_a_blocking_test(suite: Run) -> None:
    """A test without a loop can use a blocking client, as the server has its own thread."""
    suite(
        """
        import json, urllib.request

        def test_blocking(local_ecs):
            request = urllib.request.Request(
                local_ecs.endpoint_url, b"{}", {
                    "X-Amz-Target": "AmazonEC2ContainerServiceV20141113.ListContainerInstances",
                    "Authorization": "Credential=x/y",
                })
            with urllib.request.urlopen(request, timeout=10) as answer:
                listed = json.load(answer)["containerInstanceArns"]
            assert sorted(listed) == sorted(local_ecs.instance_arns)
        """,
        "strict",
    ).assert_outcomes(passed=1)


def test_without_pytest_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin loads without it, and the fixture `ecs_client` says what is missing."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    spec = importlib.util.spec_from_file_location("plugin_alone", plugin.__file__)
    assert spec is not None
    assert spec.loader is not None
    alone = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(alone)
    with pytest.raises(pytest.fail.Exception, match="pip install pytest-asyncio"):
        alone._no_client()
