"""The model of ECS: what it has started, what it has yet to decide, and what its lists may show.

Time is counted in ticks. ECS decides about a request at any moment: before its answer is given up, and also after that,
as long as the promise's one assumption holds: what a request starts shows in lists no later than `consistency` ticks
after its sender has given its answer up. Until then a list may show a task or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import attrs

REFUSED = ""
"""In place of a task's name: ECS refused that start."""


@attrs.frozen(cache_hash=True)
class TaskFact:
    """A task that ECS has started."""

    name: str
    token: str
    instance: str
    created: int
    sender: str
    """Who sent the request."""
    due: float = float("inf")
    """From this tick on every list shows it."""
    live: bool = True
    why: str = ""
    """Why it stopped."""


@attrs.frozen(cache_hash=True)
class Request:
    """A request that was written, until its answer is read or ECS can act on it no more."""

    number: int
    token: str
    instances: tuple[str, ...]
    sender: str
    repeats: bool
    """A RunTask: ECS answers a token that it knows with the same tasks."""
    due: float
    """ECS acts on it before this tick, or never."""
    awaited: bool = True
    """Its sender waits for the answer."""
    dead: bool = False
    """ECS acts on it no more; only its sender doesn't know."""
    result: tuple[str, ...] | None = None
    """What ECS decided for each instance: the name of the task, or `REFUSED`."""


@attrs.frozen(cache_hash=True)
class Service:
    """ECS at one moment. It never changes: what happens makes another one."""

    tasks: tuple[TaskFact, ...] = ()
    requests: tuple[Request, ...] = ()
    written: int = 0
    """How many requests were written so far."""

    def request(self, number: int) -> Request:
        """Return a request."""
        return next(each for each in self.requests if each.number == number)

    def receive(self, token: str, instances: tuple[str, ...], sender: str, *, repeats: bool, due: float) -> Service:
        """Take a request that is written now; its number is `written`."""
        number = self.written + 1
        request = Request(number, token, instances, sender, repeats, due)
        return attrs.evolve(self, requests=(*self.requests, request), written=number)

    def decisions(self, now: int, *, refuses: bool = True) -> Iterator[tuple[str, Service]]:
        """Return what ECS may decide now about the requests that it has not decided about."""
        for request in self.requests:
            if request.result is None and not request.dead:
                for started in self._choices(request, refuses=refuses):
                    decided = ["starts" if each else "refuses" for each in started]
                    yield f"ECS {', '.join(decided)} (request {request.number})", self._decide(request, started, now)

    def _choices(self, request: Request, *, refuses: bool) -> Iterator[tuple[bool, ...]]:
        if request.repeats and any(task.token == request.token for task in self.tasks):
            yield (True,) * len(request.instances)
        else:
            yield from product((True, False) if refuses else (True,), repeat=len(request.instances))

    def _decide(self, request: Request, started: tuple[bool, ...], now: int) -> Service:
        known = [task.name for task in self.tasks if request.repeats and task.token == request.token]
        made: list[TaskFact] = []
        result: list[str] = []
        for at, (instance, starts) in enumerate(zip(request.instances, started, strict=True)):
            name = (known[at] if known else f"task{request.number}{instance}") if starts else REFUSED
            result.append(name)
            if starts and not known:
                made.append(TaskFact(name, request.token, instance, now, request.sender, due=request.due))
        decided = attrs.evolve(request, result=tuple(result))
        after = attrs.evolve(self, tasks=(*self.tasks, *made))
        return after.replaced(decided) if request.awaited else after.without(request)

    def replaced(self, request: Request) -> Service:
        """Return it with another state of a request."""
        requests = tuple(request if each.number == request.number else each for each in self.requests)
        return attrs.evolve(self, requests=requests)

    def open_requests(self) -> list[Request]:
        """Return the requests that ECS may yet start something for: none for a `clientToken` that it knows."""
        known = {task.token for task in self.tasks}
        undecided = (each for each in self.requests if each.result is None and not each.dead)
        return [each for each in undecided if not (each.repeats and each.token in known)]

    def without(self, request: Request) -> Service:
        """Return it without a request."""
        return attrs.evolve(self, requests=tuple(each for each in self.requests if each.number != request.number))

    def given_up(self, number: int, due: float) -> Service:
        """Note that nobody waits for an answer any more: it was read, or lost."""
        request = self.request(number)
        made = request.result or ()
        tasks = tuple(attrs.evolve(task, due=min(task.due, due)) if task.name in made else task for task in self.tasks)
        after = attrs.evolve(self, tasks=tasks)
        if request.result is None and not request.dead:
            return after.replaced(attrs.evolve(request, due=min(request.due, due), awaited=False))
        return after.without(request)

    def at(self, now: int) -> Service:
        """Return it at a later tick: requests that it can act on no more are gone."""
        if all(now < each.due or each.result is not None for each in self.requests):
            return self
        left = (each for each in self.requests if now < each.due or each.awaited)
        requests = (attrs.evolve(each, dead=each.result is None and now >= each.due) for each in left)
        return attrs.evolve(self, requests=tuple(requests))

    def shown(self, token: str, now: int) -> Iterator[tuple[TaskFact, ...]]:
        """Return what a lookup of a token may show: all that is due, and any part of the rest."""
        bearing = [task for task in self.tasks if task.token == token]
        choices = [(True,) if now >= task.due else (False, True) for task in bearing]
        for kept in product(*choices):
            yield tuple(task for task, shows in zip(bearing, kept, strict=True) if shows)

    def stopped(self, names: frozenset[str], why: str) -> Service:
        """Return it with these tasks stopped."""
        tasks = tuple(
            attrs.evolve(task, live=False, why=why) if task.name in names and task.live else task for task in self.tasks
        )
        return attrs.evolve(self, tasks=tasks)
