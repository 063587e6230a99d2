"""The local ECS on a loop in a thread of its own: for tests without a loop, or with several, or that block theirs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from anyio.from_thread import BlockingPortal, start_blocking_portal

from aioecs.testing._engine import Engine
from aioecs.testing._faults import FaultScript
from aioecs.testing._local import ClientKwargs, LocalECS
from aioecs.testing._world.clock import VirtualClock
from aioecs.testing._world.truth import Truth

T = TypeVar("T")


class ThreadedECS:
    """A `LocalECS` that serves from a thread of its own, as a plain context manager::

        with ThreadedECS(instances=2) as local:
            boto3.client("ecs", **local.client_kwargs()).start_task(...)
            assert local.truth.duplicates() == []

    clock: the server's, which `clock.advance(seconds)` puts forward.  settings: those of `LocalECS`.

    `truth`, `engine` and `faults` may be used from any thread but its own: each look and each change is carried out
    on the server's loop, between two requests, and waits for that. A list or a count that they give is a copy. They
    can still be read when it has ended. Leaving the block ends every connection, the loop and the thread.

    Raises:
        LocalECSError: on entering, when it can't listen there (an OSError).
    """

    def __init__(self, *, clock: VirtualClock | None = None, **settings: Any) -> None:
        self.clock = VirtualClock() if clock is None else clock
        self._local = LocalECS(clock=self.clock, **settings)
        self._portal: BlockingPortal | None = None
        self._stack = ExitStack()

    def call(self, function: Callable[[LocalECS], T]) -> T:
        """Carry out a plain function of the local ECS on the server's loop, and return what it returns or raises."""
        if self._portal is None:
            return function(self._local)
        return self._portal.call(function, self._local)

    @property
    def truth(self) -> Truth:
        """What really happened, whatever the callers were told."""
        return cast("Truth", self._on_loop(lambda local: local.truth))

    @property
    def engine(self) -> Engine:
        """The controls: add instances, stop tasks, change the behaviour."""
        return cast("Engine", self._on_loop(lambda local: local.engine))

    @property
    def faults(self) -> FaultScript:
        """The script of faults: `add`, `set`, `clear`."""
        return cast("FaultScript", self._on_loop(lambda local: local.faults))

    def _on_loop(self, find: Callable[[LocalECS], Any]) -> _OnLoop:
        return _OnLoop(lambda use: self.call(lambda local: use(find(local))))

    @property
    def instance_arns(self) -> list[str]:
        """The container instances of the first cluster, in order of registering."""
        return self.call(lambda local: local.instance_arns)

    @property
    def region(self) -> str:
        """The Region in its ARNs."""
        return self._local.region

    @property
    def endpoint_url(self) -> str:
        """Where to send requests.

        Raises:
            RuntimeError: it has not been entered.
        """
        return self._local.endpoint_url

    def client_kwargs(self) -> ClientKwargs:
        """Give what any boto3, aiobotocore or aioecs client takes to talk to it, credentials included."""
        return self._local.client_kwargs()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal(name="aioecs local ECS"))
            stack.enter_context(portal.wrap_async_context_manager(self._local))
            self._stack = stack.pop_all()
        self._portal = portal
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._portal = None
        self._stack.__exit__(kind, error, traceback)

    def __repr__(self) -> str:
        return self.call(repr)


class _OnLoop:
    """Stands for a part of the local ECS, and does on its loop whatever is done with it."""

    _do: Callable[[Callable[[Any], Any]], Any]

    def __init__(self, do: Callable[[Callable[[Any], Any]], Any]) -> None:
        self.__dict__["_do"] = do  # what is set in the usual way is set on the part

    def __getattr__(self, name: str) -> Any:
        found = self._do(lambda part: _kept(getattr(part, name)))
        if not callable(found):
            return found

        def called(*args: Any, **kwargs: Any) -> Any:
            return self._do(lambda part: _kept(getattr(part, name)(*args, **kwargs)))

        return called

    def __setattr__(self, name: str, value: Any) -> None:
        self._do(lambda part: setattr(part, name, value))

    def __iter__(self) -> Iterator[Any]:
        return iter(cast("list[Any]", self._do(list)))

    def __len__(self) -> int:
        return cast("int", self._do(len))

    def __repr__(self) -> str:
        return cast("str", self._do(repr))


def _kept(found: Any) -> Any:
    """Copy what the server may go on changing."""
    return copy.copy(found) if isinstance(found, (dict, list, set)) else found
