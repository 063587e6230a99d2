"""All checks, in the order in which they run: what each finds out about, and what it needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs

from aioecs.conformance._checks import answers, breaks, draining, rates, replay, starting, stopping, visibility
from aioecs.conformance._context import Context
from aioecs.conformance._setup import Setup


@attrs.frozen
class Check:
    """A check.

    facts: which it finds out about.  tasks: how many it starts at most, also where ECS doesn't refuse what it should.
    not_here: says why it can't run in a setup; None if it can.
    """

    run: Callable[[Context], Awaitable[None]]
    facts: tuple[str, ...]
    tasks: int
    not_here: Callable[[Setup], str | None] = lambda _: None

    @property
    def name(self) -> str:
        """What it is called while it runs."""
        return ", ".join(self.facts)


def _one_instance(setup: Setup) -> str | None:
    return None if len(setup.instances) > 1 else "needs two container instances"


def _local(setup: Setup) -> str | None:
    return "the local ECS checks no signature" if setup.local else None


def _without_drain(setup: Setup) -> str | None:
    return None if setup.options.drain else "it changes an instance: name an idle one with --drain"


def _without_long(setup: Setup) -> str | None:
    return None if setup.options.long else "it takes more than an hour: --long"


def _without_throttle(setup: Setup) -> str | None:
    return None if setup.options.throttle else "it throttles all callers of the account: --throttle"


CHECKS = (
    Check(
        answers.errors,
        ("answer.request_id", "answer.unknown_cluster", "answer.unknown_definition", "answer.no_instances"),
        2,
    ),
    Check(answers.clock, ("clock.skew",), 0),
    Check(answers.bad_key, ("answer.bad_key",), 0, _local),
    Check(starting.order, ("start.order",), 6, _one_instance),
    Check(starting.repeated, ("start.repeated",), 2),
    Check(starting.mixed, ("start.mixed",), 2),
    Check(starting.no_capacity, ("start.no_capacity",), 1),
    Check(starting.eleven, ("start.eleven",), 11),
    Check(starting.long_started_by, ("start.long_started_by",), 1),
    Check(visibility.lags, ("describe.lag", "list.lag", "list.before_describe"), 10),
    Check(
        stopping.stopping,
        (
            *("stop.reason", "stop.again", "stop.unknown", "list.running_by_default"),
            *("list.started_by_stopped", "list.stopped_by_instance", "list.only_filter"),
        ),
        1,
    ),
    Check(breaks.reset, ("break.reset",), 1),
    Check(breaks.disconnect, ("break.disconnect",), 1),
    Check(draining.draining, ("drain.refused",), 1, _without_drain),
    Check(replay.replay, ("run.replay", "run.conflict", "run.replay_stopped"), 7),
    Check(stopping.retention, ("stop.retention",), 1),
    Check(replay.token_end, ("run.token_end",), 2, _without_long),
    Check(
        rates.rates,
        ("rate.start_burst", "rate.start_refill", "rate.read_burst", "rate.read_refill", "rate.error"),
        0,
        _without_throttle,
    ),
)
"""At the end the one that empties the buckets; before it those that may wait for an hour."""


def most_tasks(setup: Setup) -> int:
    """Return how many tasks the checks of a setup start at most."""
    return sum(check.tasks for check in CHECKS if check.not_here(setup) is None)
