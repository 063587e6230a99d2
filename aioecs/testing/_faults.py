"""Scripted faults: how a call fails, and whether that happens before or after it takes effect."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal, cast, get_args

import attrs

Kind = Literal["hang", "reset", "close", "error", "throttle", "truncated", "garbage", "empty", "mutated", "delay"]
When = Literal["unread", "before", "after"]

OPERATIONS: Final = (
    "StartTask", "RunTask", "StopTask", "ListTasks", "DescribeTasks", "ListContainerInstances",
    "DescribeContainerInstances", "DescribeTaskDefinition", "RegisterTaskDefinition", "CreateCluster",
    "DescribeClusters", "ListClusters", "UpdateContainerInstancesState", "TagResource", "ListTagsForResource",
    "UntagResource", "ExecuteCommand", "RegisterContainerInstance", "DeregisterContainerInstance", "PutAttributes",
    "DeleteAttributes", "ListAttributes", "DeregisterTaskDefinition", "DeleteTaskDefinitions", "ListTaskDefinitions",
    "ListTaskDefinitionFamilies", "CreateCapacityProvider", "DescribeCapacityProviders", "DeleteCapacityProvider",
    "UpdateCluster", "UpdateClusterSettings", "PutClusterCapacityProviders", "DeleteCluster",
    "GetLogEvents", "FilterLogEvents",
)  # fmt: skip
KINDS: Final[tuple[str, ...]] = get_args(Kind)
WHENS: Final[tuple[str, ...]] = get_args(When)
_UNREAD: Final = ("hang", "reset", "close")


@attrs.frozen
class Fault:
    """A fault that hits calls of an operation.

    kind: what the caller receives.
        "hang" - no answer; ends when the caller disconnects, when the server closes, or with a close after `seconds`.
        "reset" - the connection is reset (RST).  "close" - the connection is closed (FIN) without an answer.
        "error" - `code`, `message` and `status` are answered.  "throttle" - ThrottlingException, 400, Rate exceeded.
        "truncated" - a 200 whose body ends early.  "garbage" - a 200 with HTML.  "empty" - a 200 with no body.
        "mutated" - the normal answer, with each match of the regular expression `find` in its body replaced by
        `replace`, as `re.sub` does; only "after".
        "delay" - the normal answer, `seconds` later; the call takes effect even if the caller disconnects meanwhile.
    when: "before" the call takes effect (it then never does, except with "delay"), "after" it did, or "unread": before
        the request's body was read, for hang, reset and close.
    operation: which calls it can hit; "*" is any.
    times: how many calls it hits, None for no limit.  skip: how many matching calls it ignores first.
    chance: the probability, 0 to 1, that it hits a matching call; drawn from a seeded random generator.

    Raises:
        ValueError: a member breaks its rule.
    """

    kind: Kind
    when: When = "before"
    operation: str = "StartTask"
    times: int | None = 1
    skip: int = 0
    chance: float = 1.0
    seconds: float | None = None
    code: str = "ServerException"
    message: str = "Service Unavailable. Please try again later."
    status: int = 500
    find: str = ""
    replace: str = ""

    def __attrs_post_init__(self) -> None:
        for name, rule in _violations(self):
            raise ValueError(f"{name}: {rule}, not {getattr(self, name)!r}")


def _violations(fault: Fault) -> Iterator[tuple[str, str]]:
    if fault.kind not in KINDS:
        yield "kind", f"one of {', '.join(KINDS)}"
    if fault.when not in WHENS:
        yield "when", f"one of {', '.join(WHENS)}"
    if fault.when == "after" and fault.kind == "throttle":
        yield "when", "'before', as a throttle comes before execution"
    if fault.when != "after" and fault.kind == "mutated":
        yield "when", "'after', as only then there is an answer to change"
    if fault.when == "unread" and fault.kind not in _UNREAD:
        yield "when", f"'unread' is for {', '.join(_UNREAD)} only"
    if fault.operation not in OPERATIONS and fault.operation != "*":
        yield "operation", f"'*' for any, or one of {', '.join(OPERATIONS)}"
    if fault.times is not None and not (_is(fault.times, int) and fault.times >= 1):
        yield "times", "a whole number of at least 1, or null for no end"
    if not (_is(fault.skip, int) and fault.skip >= 0):
        yield "skip", "a whole number of at least 0"
    if not (_is(fault.chance, int, float) and 0 <= fault.chance <= 1):
        yield "chance", "a number from 0 to 1"
    yield from _response_violations(fault)


def _response_violations(fault: Fault) -> Iterator[tuple[str, str]]:
    if fault.kind == "delay" and fault.seconds is None:
        yield "seconds", "a delay needs them"
    if fault.seconds is not None and not (_is(fault.seconds, int, float) and 0 <= fault.seconds < float("inf")):
        yield "seconds", "a number of at least 0, or null"
    if fault.seconds is not None and fault.kind not in ("hang", "delay"):
        yield "seconds", "only hang and delay take them"
    if not _is(fault.code, str) or not fault.code:
        yield "code", "the name of an error"
    if not _is(fault.message, str):
        yield "message", "a string"
    if not (_is(fault.status, int) and 400 <= fault.status <= 599):
        yield "status", "an HTTP status from 400 to 599"
    yield from _pattern_violations(fault)


def _pattern_violations(fault: Fault) -> Iterator[tuple[str, str]]:
    if (fault.find or fault.replace) and fault.kind != "mutated":
        yield "find" if fault.find else "replace", "only mutated takes it"
        return
    if fault.kind == "mutated" and not fault.find:
        yield "find", "mutated needs a regular expression"
        return
    try:
        re.sub(fault.find, fault.replace, "")
    except (re.error, TypeError, IndexError) as error:
        yield "find", f"a regular expression, and `replace` a template for it ({error})"


def _is(value: object, *types: type) -> bool:
    """Return whether the value has one of the types; a bool doesn't count as a number, as in JSON."""
    return isinstance(value, types) and not isinstance(value, bool)


class FaultScript:
    """The faults of a server, in order: the first one that matches a call, and whose `chance` allows it, hits the call.

    Each fault counts its own skipped and hit calls. The random generator is seeded: the same seed and order of calls
    give the same faults.
    """

    def __init__(self, faults: Iterable[Fault] = (), *, seed: int = 0) -> None:
        self._rng = random.Random(f"{seed}:faults")
        self._entries: list[_Entry] = []
        self.add(*faults)

    def add(self, *faults: Fault) -> None:
        """Append faults to the script."""
        self._entries += [_Entry(fault, fault.skip, fault.times) for fault in faults]

    def clear(self) -> None:
        """Remove all faults; calls that were already hit are not affected."""
        self._entries.clear()

    def set(self, faults: Iterable[Fault]) -> None:
        """Replace the script."""
        self._entries = []
        self.add(*faults)

    def take(self, operation: str) -> Fault | None:
        """Return the fault that hits a call that has just arrived, or None."""
        for entry in self._entries:
            if entry.fault.operation in (operation, "*") and entry.remaining != 0 and self._hits(entry):
                if entry.remaining is not None:
                    entry.remaining -= 1
                return entry.fault
        return None

    def _hits(self, entry: _Entry) -> bool:
        if entry.skip:
            entry.skip -= 1
            return False
        return entry.fault.chance >= 1 or self._rng.random() < entry.fault.chance

    def __iter__(self) -> Iterator[Fault]:
        """Iterate over the faults that can still hit a call."""
        return iter([entry.fault for entry in self._entries if entry.remaining != 0])

    def __len__(self) -> int:
        return sum(entry.remaining != 0 for entry in self._entries)

    def __repr__(self) -> str:
        return f"FaultScript({list(self)!r})"


@attrs.define
class _Entry:
    fault: Fault
    skip: int
    remaining: int | None


def faults_from_json(text: str) -> list[Fault]:
    """Read a script of faults: a JSON list of objects with the members of Fault, `kind` required.

    Raises:
        ValueError: the text is malformed; names entry and member: `faults[2].chance: a number from 0 to 1, not 3`.
    """
    try:
        given: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"faults: not JSON: {error}") from None
    if not isinstance(given, list):
        raise ValueError(f"faults: expected a list of objects, not {type(given).__name__}")
    return [_parse_fault(entry, f"faults[{at}]") for at, entry in enumerate(given)]


def faults_from_script(text: str) -> list[Fault]:
    """Read a file of faults: one JSON object a line, with the members of Fault; or one JSON list, as faults_from_json.

    Empty lines and lines that begin with `#` are skipped.

    Raises:
        ValueError: the text is malformed; names line and member: `line 3.chance: a number from 0 to 1, not 3`.
    """
    if text.lstrip().startswith("["):
        return faults_from_json(text)
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1)]
    return [_parse_line(line, f"line {number}") for number, line in lines if line and not line.startswith("#")]


def _parse_line(line: str, where: str) -> Fault:
    try:
        entry: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not JSON: {error}") from None
    return _parse_fault(entry, where)


def faults_to_json(faults: Iterable[Fault]) -> str:
    """Write a script of faults so that `faults_from_json` reads it; members with their default are left out."""
    return json.dumps([_as_dict(fault) for fault in faults])


def _as_dict(fault: Fault) -> dict[str, Any]:
    fields = attrs.fields(Fault)
    plain = attrs.asdict(fault)
    return {field.name: plain[field.name] for field in fields if plain[field.name] != field.default}


_MEMBERS: Final = frozenset(field.name for field in attrs.fields(Fault))


def _parse_fault(entry: object, where: str) -> Fault:
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: expected an object, not {type(entry).__name__}")
    members = cast("Mapping[str, Any]", entry)
    unknown = sorted(members.keys() - _MEMBERS)
    if unknown:
        raise ValueError(f"{where}.{unknown[0]}: unknown member; known are {', '.join(sorted(_MEMBERS))}")
    if "kind" not in members:
        raise ValueError(f"{where}.kind: is required, one of {', '.join(KINDS)}")
    try:
        return Fault(**members)
    except ValueError as error:
        raise ValueError(f"{where}.{error}") from None
