"""Reads what users already have: JSON or YAML as the AWS CLI takes it, overrides, volumes, networks, env files.

Each reader takes the text of an option, or the file that it names, and raises `UsageError` with the option's name. No
message repeats what was read: it may hold secrets.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from aioecs import AwsVpcConfiguration, InvalidRequest, NetworkConfiguration, Tag, TaskOverride, TaskVolumeConfiguration
from aioecs.cli._options import UsageError

S = TypeVar("S", TaskOverride, TaskVolumeConfiguration, NetworkConfiguration)

_SHORTHAND = re.compile(r"\s*awsvpcConfiguration=\{(.*)\}\s*", re.DOTALL)
_MEMBER = re.compile(r"\s*(\w+)=(\[[^\]]*\]|[^,\[\]]*)\s*(?:,|$)")
_NAME = re.compile(r"[^\s=]+")


def read_json(option: str, given: str) -> Any:
    """Return the JSON that is given, or is in the file that is named; `file://` may stand before its name.

    Raises:
        UsageError: it can't be read, or is no JSON.
    """
    text = given if given.lstrip()[:1] in ("{", "[") else read_file(option, given)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{option}: no JSON: {_without_text(error)}") from None


def read_yaml(option: str, given: str) -> Any:
    """Return the YAML that is given, or is in the file that is named with `file://`; it needs PyYAML.

    Raises:
        UsageError: it can't be read, or is no YAML; or PyYAML is not installed.
    """
    try:
        yaml = importlib.import_module("yaml")
    except ImportError:
        raise UsageError(f"{option} needs PyYAML: pip install pyyaml") from None
    text = given if "\n" in given or ": " in given else read_file(option, given)
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" in line {mark.line + 1}"
        raise UsageError(f"{option}: no YAML{where}") from None


def read_file(option: str, name: str) -> str:
    """Return the text of a file, without the byte order mark that editors on Windows put before it.

    Raises:
        UsageError: it can't be read.
    """
    path = Path(name.removeprefix("file://")).expanduser()
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no text in UTF-8"
        shown = f"{path}: " if len(name) < 256 and name.isprintable() else ""
        raise UsageError(f"{option}: {shown}{why}") from None


def overrides(option: str, given: str) -> TaskOverride:
    """Read a TaskOverride as ECS writes it: `{"containerOverrides": [...], "cpu": "512"}`.

    Raises:
        UsageError: it can't be read, or has a member that ECS doesn't know.
    """
    return shaped(TaskOverride, option, read_json(option, given))


def volumes(option: str, given: Iterable[str]) -> tuple[TaskVolumeConfiguration, ...]:
    """Read volume configurations, each an object or a list of them.

    Raises:
        UsageError: one can't be read, or has a member that ECS doesn't know.
    """
    read = [read_json(option, text) for text in given]
    flat = [each for one in read for each in (one if isinstance(one, list) else [one])]
    return tuple(shaped(TaskVolumeConfiguration, option, each) for each in flat)


def network(
    given: str | None, subnets: Iterable[str], security_groups: Iterable[str], *, public_ip: bool | None
) -> NetworkConfiguration | None:
    """Return the network from `--network-configuration`, or from the single options, which replace its members.

    Raises:
        UsageError: it can't be read, or has no subnet.
    """
    option = "--network-configuration"
    base = None if given is None else shaped(NetworkConfiguration, option, _network_members(option, given))
    awsvpc = base.awsvpc_configuration if base is not None else None
    changes: dict[str, Any] = {"subnets": _listed(subnets), "security_groups": _listed(security_groups)}
    changes = {name: value for name, value in changes.items() if value}
    if public_ip is not None:
        changes["assign_public_ip"] = "ENABLED" if public_ip else "DISABLED"
    if not changes:
        return base
    if "subnets" not in changes and awsvpc is None:
        raise UsageError("--subnets is missing: a network needs a subnet or more")
    awsvpc = AwsVpcConfiguration(**changes) if awsvpc is None else awsvpc.replace(**changes)
    return NetworkConfiguration(awsvpc_configuration=awsvpc)


def _network_members(option: str, given: str) -> Any:
    """Read JSON, a file, or the AWS CLI's shorthand: `awsvpcConfiguration={subnets=[a,b],assignPublicIp=ENABLED}`."""
    if (shorthand := _SHORTHAND.fullmatch(given)) is None:
        return read_json(option, given)
    members: dict[str, Any] = {}
    at = 0
    while at < len(shorthand[1]):
        if (member := _MEMBER.match(shorthand[1], at)) is None:
            raise UsageError(f"{option}: expected awsvpcConfiguration={{subnets=[a,b],assignPublicIp=ENABLED}}")
        value = member[2].strip()
        members[member[1]] = _listed([value[1:-1]]) if value.startswith("[") else value
        at = member.end()
    return {"awsvpcConfiguration": members}


def _listed(given: Iterable[str]) -> list[str]:
    return [name.strip() for names in given for name in names.split(",") if name.strip()]


def tags(option: str, given: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Read tags: `NAME=VALUE`, the AWS CLI's `key=NAME,value=VALUE`, or a JSON list of `{"key": …, "value": …}`.

    Raises:
        UsageError: one is none of these; the message has its position.
    """
    return tuple(pair for place, text in enumerate(given, 1) for pair in _tag(option, text, place))


def _tag(option: str, text: str, place: int) -> Iterator[tuple[str, str]]:
    if text.lstrip().startswith("["):
        for each in cast("list[Any]", read_json(option, text)):
            if not isinstance(each, Mapping) or not isinstance(cast("Any", each).get("key"), str):
                raise UsageError(f'{option}: expected a list of {{"key": ..., "value": ...}}')
            tag = Tag.from_dict(cast("Mapping[str, Any]", each))
            yield str(tag.key), str(tag.value or "")
    elif (shorthand := re.fullmatch(r"key=([^,]+)(?:,value=(.*))?", text, re.DOTALL)) is not None:
        yield shorthand[1], shorthand[2] or ""
    else:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise UsageError(f"{option} needs NAME=VALUE, which number {place} of them is not")
        yield name, value


def env_files(option: str, names: Iterable[str], environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Read files of environment variables, as `docker run --env-file` does; the last value of a name counts.

    A line is `NAME=VALUE`, taken literally, or `NAME` for the value that the variable has here; lines that begin with
    `#` and empty ones are skipped.

    Raises:
        UsageError: a file can't be read, or a line has no name; the message has its number, not its text.
    """
    found: dict[str, str] = {}
    for name in names:
        for number, line in enumerate(read_file(option, name).split("\n"), 1):
            stripped = line.lstrip()
            if not stripped or stripped.startswith("#"):
                continue
            variable, sign, value = stripped.partition("=")
            if _NAME.fullmatch(variable) is None:
                raise UsageError(f"{option}: line {number} of {name} is not NAME=VALUE")
            if sign or variable in environ:
                found[variable] = value if sign else environ[variable]
    return tuple(found.items())


def shaped(shape: type[S], option: str, plain: Any) -> S:
    """Make a shape of a plain value, all of whose members ECS knows.

    Raises:
        UsageError: it is no object, or has a member that ECS doesn't know; the message names the member.
    """
    if not isinstance(plain, Mapping):
        raise UsageError(f"{option}: expected an object, not {_kind(plain)}")
    try:
        made = shape.from_dict(cast("Mapping[str, Any]", plain))
    except (InvalidRequest, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{option}: {_rule(error)}") from None
    for member in unknown_members(made):
        raise UsageError(f"{option}: ECS has no member {member}")
    return made


def unknown_members(value: Any) -> Iterator[str]:
    """Yield the names of the members that were not known when a shape was read."""
    for name in getattr(value, "extra", None) or ():
        yield str(name)
    for name in getattr(type(value), "__attrs_attrs__", ()):
        held = getattr(value, name.name)
        for each in cast("Iterable[Any]", held if isinstance(held, (list, tuple)) else [held]):
            if hasattr(type(each), "__attrs_attrs__"):
                yield from (f"{name.name}.{inner}" for inner in unknown_members(each))


def _rule(error: Exception) -> str:
    return f"{error.path}: {error.rule}" if isinstance(error, InvalidRequest) else "a member is of the wrong kind"


def _kind(value: Any) -> str:
    kinds: dict[type[Any], str] = {list: "a list", str: "a string", type(None): "null", bool: "a boolean"}
    return kinds.get(type(value), "a number" if isinstance(value, (int, float)) else type(value).__name__)


def _without_text(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} in line {error.lineno}, column {error.colno}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else "it can't be read"
