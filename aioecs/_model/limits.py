"""The checks of what a caller gives: requests against every documented limit, and numbers.

`checks.table` has the limits themselves. A request is written and checked in one pass (`checks.request_json`); only one
that is not certain to keep every rule is checked member by member (`checks.violations`), which names what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from aioecs._model.checks.places import check_instances, fits
from aioecs._model.checks.request_json import checked_json, keeps_what_varies
from aioecs._model.checks.table import (
    CAPACITY_PROVIDERS,
    CLIENT_TOKEN,
    DESCRIBED_PER_CALL,
    EPHEMERAL_STORAGE,
    EXPRESSION,
    EXTRA_DEPTH,
    INSTANCES_PER_CALL,
    LIMITS,
    LISTED_PER_PAGE,
    LOG_LINES,
    OVERRIDES,
    PLACEMENT_CONSTRAINTS,
    PLACEMENT_STRATEGIES,
    SECURITY_GROUPS,
    STARTED_BY,
    STARTED_BY_RUN_TASK,
    SUBNETS,
    TAG_KEY,
    TAG_VALUE,
    TAGS,
    TASKS_PER_RUN_TASK,
    VOLUME_SIZES,
    VOLUME_THROUGHPUT,
    Limit,
    RequestWarning,
)
from aioecs._model.checks.violations import check_shape, found
from aioecs._model.codec.shape import Shape
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs.errors import InvalidRequest

__all__ = [
    "CAPACITY_PROVIDERS",
    "CLIENT_TOKEN",
    "DESCRIBED_PER_CALL",
    "EPHEMERAL_STORAGE",
    "EXPRESSION",
    "EXTRA_DEPTH",
    "INSTANCES_PER_CALL",
    "LIMITS",
    "LISTED_PER_PAGE",
    "LOG_LINES",
    "OVERRIDES",
    "PLACEMENT_CONSTRAINTS",
    "PLACEMENT_STRATEGIES",
    "SECURITY_GROUPS",
    "STARTED_BY",
    "STARTED_BY_RUN_TASK",
    "SUBNETS",
    "TAGS",
    "TAG_KEY",
    "TAG_VALUE",
    "TASKS_PER_RUN_TASK",
    "VOLUME_SIZES",
    "VOLUME_THROUGHPUT",
    "Limit",
    "RequestWarning",
    "check",
    "expect",
    "fits",
    "not_negative",
    "positive",
]


def check(request: Shape, *, any_number: bool = False, region: str | None = None, partition: str | None = None) -> None:
    """Check a request against every documented limit; nothing is sent.

    `any_number` leaves the number of container instances open, for requests that are split into calls. `region` and
    `partition` are the client's own, which ARNs are checked against.

    Raises:
        InvalidRequest: a rule is broken; it names the member, the rule, and what stands there instead.
    """
    certain = checked_json(request) is not None
    if not isinstance(request, StartTaskRequest):
        if not certain:
            check_shape(request, "", any_number)
        return
    if not certain or not keeps_what_varies(request, any_number):
        check_shape(request, "", any_number)
    if not fits(request, region, partition):
        check_instances(request, region, partition)


def expect(request: object, shape: type[Shape]) -> None:
    """Check that a request is of the shape that the operation takes.

    Raises:
        InvalidRequest: it is of another kind.
    """
    if not isinstance(request, shape):
        raise InvalidRequest("request", f"a {shape.__name__}", found(request, shape))


def iterable(requests: Any) -> Iterator[Any]:
    """Return an iterator over the requests of a call.

    Raises:
        InvalidRequest: they are not iterable: one request, for example.
    """
    if not isinstance(requests, Iterable):
        raise InvalidRequest("requests", "requests in a list, or iterable", f"a {type(requests).__name__}")
    return iter(requests)


def positive(given: int, name: str) -> int:
    """Return a whole number of 1 or more.

    Raises:
        InvalidRequest: it isn't one.
    """
    if type(given) is not int or given < 1:
        raise InvalidRequest(name, "a whole number, 1 or more", repr(given))
    return given


def log_lines(given: int, name: str) -> int:
    """Return a number of lines that one GetLogEvents can return, or 0.

    Raises:
        InvalidRequest: it isn't one.
    """
    if type(given) is not int or not 0 <= given <= LOG_LINES:
        raise InvalidRequest(name, f"a whole number from 0 to {LOG_LINES:,}", repr(given))
    return given


def not_negative(given: float, name: str) -> float:
    """Return a number of seconds that may be 0, and infinite.

    Raises:
        InvalidRequest: it is none.
    """
    if type(given) not in (int, float) or not given >= 0:  # no number is neither
        raise InvalidRequest(name, "a number of seconds, 0 or more", repr(given))
    return given
