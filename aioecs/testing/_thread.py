"""The local ECS on its own thread and loop: for tests without a loop, with several loops, or that block their loop."""

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
from aioecs.testing._state.clock import VirtualClock
from aioecs.testing._state.truth import Truth

T = TypeVar("T")


class ThreadedECS:
    """A `LocalECS` that serves from its own thread, as a plain context manager::

        with ThreadedECS(instances=2) as local:
            boto3.client("ecs", **local.client_kwargs()).start_task(...)
            assert local.truth.duplicates() == []

    clock: the server's clock; `clock.advance(seconds)` moves it forward.  settings: those of `LocalECS`.

    `truth`, `engine` and `faults` may be used from any thread except the server's: each access runs on the server's
    loop, between two requests, and blocks until it is done. Lists and counters that they return are copies. They can
    still be read after the block. Leaving the block ends every connection, the loop and the thread.

    Raises:
        LocalECSError: on entering, if it can't listen on the address (an OSError).
    """

    def __init__(self, *, clock: VirtualClock | None = None, **settings: Any) -> None:
        self.clock: VirtualClock = VirtualClock() if clock is None else clock
        self._local = LocalECS(clock=self.clock, **settings)
        self._portal: BlockingPortal | None = None
        self._stack = ExitStack()

    def call(self, function: Callable[[LocalECS], T]) -> T:
        """Call a plain function with the local ECS on the server's loop; returns or raises what the function does."""
        if self._portal is None:
            return function(self._local)
        return self._portal.call(function, self._local)

    @property
    def truth(self) -> Truth:
        """What really happened, whatever responses the callers received."""
        return cast("Truth", self._proxy(lambda local: local.truth))

    @property
    def engine(self) -> Engine:
        """The controls: add instances, stop tasks, change the behaviour."""
        return cast("Engine", self._proxy(lambda local: local.engine))

    @property
    def faults(self) -> FaultScript:
        """The script of faults: `add`, `set`, `clear`."""
        return cast("FaultScript", self._proxy(lambda local: local.faults))

    def _proxy(self, find: Callable[[LocalECS], Any]) -> _LoopProxy:
        return _LoopProxy(lambda use: self.call(lambda local: use(find(local))))

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
        """The URL to send requests to.

        Raises:
            RuntimeError: the block has not been entered.
        """
        return self._local.endpoint_url

    def client_kwargs(self) -> ClientKwargs:
        """Return the arguments with which a boto3, aiobotocore or aioecs client reaches it, credentials included."""
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


class _LoopProxy:
    """A proxy of a part of the local ECS: reads, writes and calls run on the server's loop."""

    _run: Callable[[Callable[[Any], Any]], Any]

    def __init__(self, run: Callable[[Callable[[Any], Any]], Any]) -> None:
        self.__dict__["_run"] = run  # plain assignment would go to the proxied part

    def __getattr__(self, name: str) -> Any:
        found = self._run(lambda part: _copied(getattr(part, name)))
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._run(lambda part: _copied(getattr(part, name)(*args, **kwargs)))

        return call

    def __setattr__(self, name: str, value: Any) -> None:
        self._run(lambda part: setattr(part, name, value))

    def __iter__(self) -> Iterator[Any]:
        return iter(cast("list[Any]", self._run(list)))

    def __len__(self) -> int:
        return cast("int", self._run(len))

    def __repr__(self) -> str:
        return cast("str", self._run(repr))


def _copied(value: Any) -> Any:
    """Copy a collection that the server may still change."""
    return copy.copy(value) if isinstance(value, (dict, list, set)) else value
