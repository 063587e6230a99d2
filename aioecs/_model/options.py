"""Options of a client: timeouts and retries. They are checked when they are made."""

from __future__ import annotations

import inspect
from typing import Any, Literal, get_args

import attrs

from aioecs.errors import InvalidRequest

OnCancel = Literal["stop", "keep", "abandon"]
"""What a cancel does about a request that was sent.

`"stop"` waits for the answer and stops what started; `"keep"` waits for it and leaves the tasks running; `"abandon"`
returns at once, with outcome UNKNOWN.
"""

Delivery = Literal["at_most_once", "at_least_once"]
"""What is done about an ambiguous start that no lookup finds.

`"at_most_once"` ends it as UNKNOWN. `"at_least_once"` sends it again, and removes duplicates that show later.
"""
OnTimeout = Literal["stop", "keep"]
"""What is done about a task that has not ended in time: stop it, or leave it running and raise WaitTimeout."""
Restart = Literal["if_failed"]
"""When an idempotency key starts anew: `"if_failed"`, where every task of the key is known to have failed."""


def _seconds(value: Any, attribute: attrs.Attribute[Any], given: Any) -> None:
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 <= given < float("inf"):
        raise InvalidRequest(f"{type(value).__name__}.{attribute.name}", "a number of seconds, 0 or more", repr(given))


def _count(value: Any, attribute: attrs.Attribute[Any], given: Any) -> None:
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise InvalidRequest(f"{type(value).__name__}.{attribute.name}", "a whole number, 1 or more", repr(given))


@attrs.frozen(kw_only=True)
class Timeouts:
    """Timeouts of a client, in seconds. When one ends, nothing new is sent; a request in flight is not cancelled."""

    connect: float = attrs.field(default=3, validator=_seconds)
    """To establish a TCP and TLS connection."""
    attempt: float = attrs.field(default=15, validator=_seconds)
    """For one request, from its first byte to the end of its response."""
    call: float = attrs.field(default=90, validator=_seconds)
    """For one call with its retries, backoff and lookups."""
    settle: float = attrs.field(default=10, validator=_seconds)
    """How long a cancelled caller waits at most to learn the outcome of its request and to stop what it started."""
    consistency: float = attrs.field(default=30, validator=_seconds)
    """How long ECS may take to show a started task in its lists. Until then an empty lookup proves nothing."""
    drain: float = attrs.field(default=30, validator=_seconds)
    """How long leaving the client waits for calls that have not settled."""


@attrs.frozen(kw_only=True)
class Retries:
    """How often and how soon a request that certainly started nothing is sent again."""

    max_attempts: int = attrs.field(default=5, validator=_count)
    """Attempts of one call at most. Throttled attempts are not counted; `timeouts.call` bounds them."""
    initial_backoff: float = attrs.field(default=0.1, validator=_seconds)
    """Upper bound of the first backoff, in seconds; it doubles with each attempt. A backoff is a random part of it."""
    max_backoff: float = attrs.field(default=5, validator=_seconds)
    """Upper bound of every backoff between attempts, in seconds."""


def choice(given: Any, of: Any, name: str) -> Any:
    """Return the argument if it is one of the values of a Literal.

    Raises:
        InvalidRequest: it is not.
    """
    choices = get_args(of)
    if given not in choices:
        raise InvalidRequest(name, f"one of {', '.join(choices)}", repr(given))
    return given


def of_kind(given: Any, kind: type[Any], name: str) -> Any:
    """Return the argument if it is an instance of the class.

    Raises:
        InvalidRequest: it is not.
    """
    if not isinstance(given, kind):
        raise InvalidRequest(name, f"of the kind {kind.__name__}", f"a {type(given).__name__}")
    return given


def plain_function(given: Any, name: str) -> Any:
    """Return the argument if it is a function that need not be awaited, or None.

    Raises:
        InvalidRequest: it can't be called, or is a coroutine function.
    """
    if given is not None and (not callable(given) or inspect.iscoroutinefunction(given)):
        raise InvalidRequest(name, "a plain function, or None", f"a {type(given).__name__}")
    return given
