"""The reading of jobs: what a line may say, what it inherits, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aioecs import ContainerOverride, KeyValuePair, StartTaskRequest, TaskOverride
from aioecs.cli._options import UsageError
from aioecs.cli._start.jobs import Job, needs_container, override_container, read_jobs, with_container

TEMPLATE = StartTaskRequest(
    cluster="c",
    task_definition="td",
    group="g",
    overrides=TaskOverride(cpu="256", container_overrides=[ContainerOverride(name="log", cpu=8)]),
)


def jobs(*lines: Any, container: str | None = "main") -> list[Job]:
    """Read lines."""
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    return list(read_jobs(texts, TEMPLATE, container))


def test_names() -> None:
    """A job without a name is called by the number of its line; empty lines are skipped."""
    assert [job.name for job in jobs({}, "", {"name": "frame 7"}, "  ", {})] == ["1", "frame 7", "5"]


def test_an_empty_job_is_the_template() -> None:
    """What a line leaves out is as the options say."""
    assert jobs({}) == [Job("1", TEMPLATE)]


def test_environment_and_command() -> None:
    """They go to the one container; the other overrides stay."""
    [job] = jobs({"environment": {"SCENE": "7", "N": 3}, "command": ["run", "it"]})
    assert job.request.overrides == TaskOverride(
        cpu="256",
        container_overrides=[
            ContainerOverride(name="log", cpu=8),
            ContainerOverride(
                name="main",
                environment=[KeyValuePair(name="SCENE", value="7"), KeyValuePair(name="N", value="3")],
                command=("run", "it"),
            ),
        ],
    )
    assert job.request.group == "g"


def test_numbers_are_taken_as_they_are_written() -> None:
    """A version is no number, and a large one is not rounded."""
    [job] = jobs('{"environment": {"VERSION": 1.10, "LARGE": 1e400, "WHOLE": 12345678901234567890, "LESS": -0.0}}')
    assert job.request.overrides is not None
    *_, main = job.request.overrides.container_overrides or ()
    values = {each.name: each.value for each in main.environment or ()}
    assert values == {"VERSION": "1.10", "LARGE": "1e400", "WHOLE": "12345678901234567890", "LESS": "-0.0"}


def test_members_of_a_task_override() -> None:
    """They replace the template's, one by one."""
    [job] = jobs({"memory": 512, "containerOverrides": [{"name": "log", "memory": 9}]})
    expected = TaskOverride(cpu="256", memory="512", container_overrides=[ContainerOverride(name="log", memory=9)])
    assert job.request.overrides == expected


def test_a_whole_request() -> None:
    """As boto3 and the AWS CLI write it; it may name instances and another task definition."""
    [job] = jobs(
        {
            "taskDefinition": "other:3",
            "containerInstances": ["0123456789abcdef0123456789abcdef"],
            "overrides": {"cpu": "1024"},
            "tags": [{"key": "a", "value": "b"}],
        }
    )
    assert job.request.task_definition == "other:3"
    assert job.request.overrides == TaskOverride(cpu="1024")
    assert (job.is_placed, job.request.cluster, job.request.group) == (False, "c", "g")
    assert jobs({"taskDefinition": "other:3"})[0].is_placed


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "no JSON: Expecting property name enclosed in double quotes in column 2"),
        ("[" * 100_000, "nested too deeply"),
        ([], "expected an object"),
        ("7", "expected an object"),
        ({"name": ""}, "name: 1 to 100 printable characters"),
        ({"name": 7}, "name: 1 to 100"),
        ({"name": "a\nb"}, "name: 1 to 100"),
        ({"taskdefinition": "hunter2"}, "there is no member taskdefinition"),
        ({"task_definition": "hunter2"}, "goes by taskDefinition"),
        ({"overrides": {"environment": {"A": "hunter2"}}}, "there is no member overrides.environment"),
        ({"overrides": {}, "cpu": 7}, "cpu belongs into overrides"),
        ({"overrides": 7}, "a member is of the wrong kind"),
        ({"containerOverrides": 7}, "a member is of the wrong kind"),
        ({"containerOverrides": ["hunter2"]}, "a member is of the wrong kind"),
        ({"containerOverrides": "hunter2", "command": ["x"]}, "a member is of the wrong kind"),
        ({"environment": ["hunter2"]}, "environment: expected an object"),
        ({"environment": {"A": None}}, "environment: values are text or numbers"),
        ('{"environment": {"A": NaN}}', "no JSON: NaN is no number"),
        ({"command": "hunter2"}, "command: expected a list of text"),
        ({"startedBy": "hunter2" * 9}, "at most 36 characters"),
        ({"cluster": "hunter2"}, "cluster: all jobs are started in the cluster of the command"),
        ({"tags": [{"key": "aws:hunter2"}]}, "may not begin with 'aws:'"),
    ],
)
def test_what_is_refused(line: Any, message: str) -> None:
    """By the number of the line, without what it holds."""
    with pytest.raises(UsageError) as refused:
        jobs({}, line)
    assert str(refused.value).startswith("line 2 of the jobs")
    assert message in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_name_twice() -> None:
    """Results name jobs, so no two have one name; a number of a line is a name too."""
    with pytest.raises(UsageError, match=r"^line 3 of the jobs has the name of line 1$"):
        jobs({"name": "a"}, {}, {"name": "a"})
    with pytest.raises(UsageError, match="line 2 of the jobs has the name of line 1"):
        jobs({"name": "2"}, {})


def test_a_container_that_is_not_known_yet() -> None:
    """Its override has no name until one is found; then it joins the override of that name."""
    [job] = jobs({"environment": {"A": "1"}}, container=None)
    assert needs_container(job.request)
    assert not needs_container(TEMPLATE)
    named = with_container(job.request, "log")
    assert named.overrides is not None
    [log] = named.overrides.container_overrides or ()
    assert (log.name, log.cpu, len(log.environment or ())) == ("log", 8, 1)
    assert with_container(TEMPLATE, "x") is TEMPLATE


def test_no_secret_in_a_repr() -> None:
    """Values of environment variables may be secret."""
    assert "hunter2" not in repr(jobs({"environment": {"A": "hunter2"}}))


def test_jobs_are_read_as_they_are_drawn() -> None:
    """A file of any length takes no memory but for the names."""
    drawn: list[int] = []

    def lines() -> Any:
        for number in range(1000):
            drawn.append(number)
            yield "{}"

    next(read_jobs(lines(), TEMPLATE, None))
    assert drawn == [0]


def test_a_variable_is_set_once() -> None:
    """A later value replaces an earlier one of the same name."""
    once = override_container(TEMPLATE, "main", [("A", "1"), ("B", "2")], ())
    twice = override_container(once, "main", [("A", "3")], ("run",))
    assert twice.overrides is not None
    *_, main = twice.overrides.container_overrides or ()
    assert [(each.name, each.value) for each in main.environment or ()] == [("B", "2"), ("A", "3")]
    assert main.command == ("run",)
