"""Reads the jobs of `aioecs start --jobs`: a line of JSON for each task, which differs from the template as it says.

Pure. A line is an object with any of these members:

- those of a StartTask request as ECS writes them, such as `taskDefinition`, `overrides`, `containerInstances`, `tags`;
- those of a TaskOverride, such as `containerOverrides`, `cpu`, `taskRoleArn`;
- `environment` (an object of names and values) and `command` (a list), for the container that --container names, or
  the only one of the task definition;
- `name`, by which results name the job; without it that is the number of its line.

What a line leaves out is as the options say. Names are unique. No message repeats what a line holds: it may be secret.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import attrs

from aioecs import ContainerOverride, InvalidRequest, KeyValuePair, StartTaskRequest, TaskOverride
from aioecs._model import limits
from aioecs.cli._options import UsageError
from aioecs.cli._start.request_input import unknown_members

LONGEST_NAME = 100
_OWN = frozenset({"name", "environment", "command"})
_OVERRIDE = frozenset(
    {"containerOverrides", "cpu", "memory", "executionRoleArn", "taskRoleArn", "inferenceAcceleratorOverrides"}
)


@attrs.frozen
class Job:
    """One task to start, and the name that results give it."""

    name: str
    request: StartTaskRequest = attrs.field(repr=False)

    @property
    def is_placed(self) -> bool:
        """Whether aioecs picks its instance."""
        return not self.request.container_instances


def read_jobs(lines: Iterable[str], template: StartTaskRequest, container: str | None) -> Iterator[Job]:
    """Yield the jobs of lines of JSON as they are read; empty lines are skipped.

    `container` is the one that `environment` and `command` go to; if it is None, its override has no name yet.

    Raises:
        UsageError: a line is no job, breaks a documented limit, or has the name of another; the message has its number.
    """
    names: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            job = _job(line, number, template, container)
            checked = with_container(job.request, "container")
            limits.check(checked.replace(container_instances=checked.container_instances or ("any",)))
        except InvalidRequest as error:
            raise UsageError(f"line {number} of the jobs: {error.path}: {error.rule}") from None
        except ValueError as error:
            raise UsageError(f"line {number} of the jobs: {error}") from None
        except (TypeError, AttributeError):
            raise UsageError(f"line {number} of the jobs: a member is of the wrong kind") from None
        if job.name in names:
            raise UsageError(f"line {number} of the jobs has the name of line {names[job.name]}")
        names[job.name] = number
        yield job


def _job(line: str, number: int, template: StartTaskRequest, container: str | None) -> Job:
    plain = _object(line)
    name = plain.get("name", str(number))
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise ValueError(f"name: 1 to {LONGEST_NAME} printable characters")
    request = {key: value for key, value in plain.items() if key not in _OWN | _OVERRIDE}
    override = {key: value for key, value in plain.items() if key in _OVERRIDE}
    if override and "overrides" in request:
        raise ValueError(f"{next(iter(override))} belongs into overrides, which the line has")
    made = StartTaskRequest.from_dict({"taskDefinition": template.task_definition, **request})
    for member in unknown_members(made):
        raise ValueError(f"there is no member {member}" if member.isprintable() else "it has an unknown member")
    if made.cluster not in (None, template.cluster):
        raise ValueError("cluster: all jobs are started in the cluster of the command")
    if not made.task_definition:
        raise ValueError("taskDefinition is missing, and --task-definition too")
    given = {each: getattr(made, each) for each in _given(made, request)}
    merged = template.replace(**given)
    merged = _with_override(merged, override)
    return Job(name, _with_container(merged, plain, container))


def _object(line: str) -> Mapping[str, Any]:
    try:
        plain: object = json.loads(line, parse_float=str, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error.msg} in column {error.colno}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(plain, dict):
        raise ValueError("expected an object")
    return cast("Mapping[str, Any]", plain)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"no JSON: {name} is no number")


def _given(made: StartTaskRequest, plain: Mapping[str, Any]) -> Iterator[str]:
    """Yield the members of a request that a line has."""
    for name in attrs.fields_dict(cast("Any", type(made))):
        if name == "task_definition" and "taskDefinition" not in plain:
            continue
        if getattr(made, name) not in (None, (), {}):
            yield name


def _with_override(request: StartTaskRequest, plain: Mapping[str, Any]) -> StartTaskRequest:
    """Return the request with members of its overrides replaced."""
    if not plain:
        return request
    made = TaskOverride.from_dict(_texts(plain))
    for member in unknown_members(made):
        raise ValueError(f"there is no member {member}" if member.isprintable() else "it has an unknown member")
    changes = {name: getattr(made, name) for name in attrs.fields_dict(cast("Any", TaskOverride))}
    changes = {name: value for name, value in changes.items() if value not in (None, (), {})}
    return request.replace(overrides=(request.overrides or TaskOverride()).replace(**changes))


def _texts(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members with CPU and memory as text, as ECS has them; numbers are what people write."""
    return {key: str(held) if type(held) is int and key in ("cpu", "memory") else held for key, held in plain.items()}


def _with_container(request: StartTaskRequest, plain: Mapping[str, Any], container: str | None) -> StartTaskRequest:
    environment, command = _pairs(plain.get("environment")), _command(plain.get("command"))
    return override_container(request, container, environment, command) if environment or command else request


def needs_container(request: StartTaskRequest) -> bool:
    """Whether an override is for a container whose name is not known yet."""
    overrides = request.overrides
    return overrides is not None and any(each.name is None for each in overrides.container_overrides or ())


def with_container(request: StartTaskRequest, container: str) -> StartTaskRequest:
    """Return the request with this name for the container that had none; it joins an override of that name."""
    if not needs_container(request) or request.overrides is None:
        return request
    overrides = request.overrides.container_overrides or ()
    unnamed = next(each for each in overrides if each.name is None)
    others = [each for each in overrides if each is not unnamed]
    without_unnamed = request.replace(overrides=request.overrides.replace(container_overrides=others or None))
    pairs = [(each.name or "", each.value or "") for each in unnamed.environment or ()]
    return override_container(without_unnamed, container, pairs, unnamed.command or ())


def _pairs(environment: Any) -> tuple[tuple[str, str], ...]:
    if environment is None:
        return ()
    if not isinstance(environment, dict):
        raise ValueError("environment: expected an object of names and values")
    pairs = cast("dict[str, Any]", environment)
    if not all(isinstance(value, (str, int, float)) and not isinstance(value, bool) for value in pairs.values()):
        raise ValueError("environment: values are text or numbers")
    return tuple((name, str(value)) for name, value in pairs.items())


def _command(command: Any) -> tuple[str, ...]:
    if command is None:
        return ()
    if not isinstance(command, list) or not all(isinstance(each, str) for each in command):
        raise ValueError("command: expected a list of text")
    return tuple(cast("list[str]", command))


def override_container(
    request: StartTaskRequest, container: str | None, environment: Sequence[tuple[str, str]], command: Sequence[str]
) -> StartTaskRequest:
    """Return the request with variables and a command for one container; other overrides stay.

    A variable that the container's override has already gets the new value.
    """
    overrides = request.overrides or TaskOverride()
    others = [each for each in overrides.container_overrides or () if each.name != container]
    mine = next((each for each in overrides.container_overrides or () if each.name == container), None)
    mine = mine or ContainerOverride(name=container)
    if environment:
        set_here = {name for name, _ in environment}
        kept = [each for each in mine.environment or () if each.name not in set_here]
        added = [KeyValuePair(name=name, value=value) for name, value in dict(environment).items()]
        mine = mine.replace(environment=(*kept, *added))
    if command:
        mine = mine.replace(command=tuple(command))
    return request.replace(overrides=overrides.replace(container_overrides=(*others, mine)))
