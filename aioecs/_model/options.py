"""How a client behaves: its clocks and its retries, checked when they are made."""

from __future__ import annotations

import inspect
from typing import Any, Literal, get_args

import attrs

from aioecs.errors import InvalidRequest

OnCancel = Literal["stop", "keep", "abandon"]
"""What a request in flight leaves behind: learn the answer and stop what started; learn it and leave it; go at once."""

Delivery = Literal["at_most_once", "at_least_once"]
"""What is done about a start that can't be found: its outcome is UNKNOWN; or it is sent again, duplicates removed."""

OnTimeout = Literal["stop", "keep"]
"""What becomes of a task that has not ended in time: it is stopped; or it goes on, and the caller gets WaitTimeout."""

Restart = Literal["if_failed"]
"""When a key's tasks are started anew: where all of them are known to have failed."""


def _seconds(value: Any, attribute: attrs.Attribute[Any], given: Any) -> None:
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 <= given < float("inf"):
        raise InvalidRequest(f"{type(value).__name__}.{attribute.name}", "a number of seconds, 0 or more", repr(given))


def _count(value: Any, attribute: attrs.Attribute[Any], given: Any) -> None:
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise InvalidRequest(f"{type(value).__name__}.{attribute.name}", "a whole number, 1 or more", repr(given))


@attrs.frozen(kw_only=True)
class Timeouts:
    """The clocks of a client, all in seconds. A clock is not a cancel: at its end nothing new is begun."""

    connect: float = attrs.field(default=3, validator=_seconds)
    """For a TCP and TLS connection to come about."""
    attempt: float = attrs.field(default=15, validator=_seconds)
    """For one request, from its first byte to the end of its answer."""
    call: float = attrs.field(default=90, validator=_seconds)
    """For one logical call with its retries, rests and look-ups."""
    settle: float = attrs.field(default=10, validator=_seconds)
    """For which a cancelled caller waits, at most, to learn what its request came to and to stop what it started."""
    consistency: float = attrs.field(default=30, validator=_seconds)
    """After which a task that ECS started shows in its lists; before that, absence proves nothing."""
    drain: float = attrs.field(default=30, validator=_seconds)
    """For which leaving the client waits for what is still in its custody."""


@attrs.frozen(kw_only=True)
class Retries:
    """How often and how soon a request that certainly started nothing is sent again."""

    max_attempts: int = attrs.field(default=5, validator=_count)
    """Sends of one call at most; throttles don't count, the call's clock alone bounds them."""
    initial_backoff: float = attrs.field(default=0.1, validator=_seconds)
    """The longest first rest, in seconds. Each further one may be twice as long; it is drawn from nothing to that."""
    max_backoff: float = attrs.field(default=5, validator=_seconds)
    """The longest rest, in seconds."""


def choice(given: Any, of: Any, name: str) -> Any:
    """Return what was given if it is one of the words of a Literal.

    Raises:
        InvalidRequest: it isn't.
    """
    words = get_args(of)
    if given not in words:
        raise InvalidRequest(name, f"one of {', '.join(words)}", repr(given))
    return given


def of_kind(given: Any, kind: type[Any], name: str) -> Any:
    """Return what was given if it is of a kind.

    Raises:
        InvalidRequest: it isn't.
    """
    if not isinstance(given, kind):
        raise InvalidRequest(name, f"of the kind {kind.__name__}", f"a {type(given).__name__}")
    return given


def plain_function(given: Any, name: str) -> Any:
    """Return what was given if it can be called and is done then; None is for nobody.

    Raises:
        InvalidRequest: it can't, or what it returns would have to be awaited.
    """
    if given is not None and (not callable(given) or inspect.iscoroutinefunction(given)):
        raise InvalidRequest(name, "a plain function, or None", f"a {type(given).__name__}")
    return given
