"""Opens a transport without blocking the event loop: slow imports and models are loaded in a thread first.

aiobotocore takes a third of a second to import, botocore parses megabytes of JSON, and aioecs reads the annotations of
its shapes: once a process each. The thread fills caches, which the client then uses.

The thread shares the interpreter with the loop, which runs again within one or two switch intervals (5 ms each).
Loading so much may also start a full garbage collection, which stops every thread, the longer the larger the process
is. Where such a pause matters, open the client before the process begins to serve.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from aioecs._model.codec.plain import learn
from aioecs._transport.settings import Settings
from aioecs._transport.transport import ALL_OPERATIONS

if TYPE_CHECKING:
    from aioecs._transport.botocore.botocore_transport import BotocoreTransport
    from aioecs._transport.native.native_transport import NativeTransport
    from aioecs._transport.recovering_transport import RecoveringTransport

Opened: TypeAlias = "tuple[BotocoreTransport | NativeTransport | RecoveringTransport, Any]"


def open_transport(settings: Settings) -> AbstractAsyncContextManager[Opened]:
    """Return what opens the transport, and the aiobotocore client that it uses, for the length of the block.

    A cancel while the thread works lets it end by itself, with nothing open. Entering the block raises
    ConfigurationError: no Region, an unknown Region or profile, or settings that contradict each other.
    """
    return _Opening(settings)


class _Opening(AbstractAsyncContextManager[Opened]):
    """No generator: a loop that ends closes all async generators at once, each in the middle of the others."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opening: Any = None

    async def __aenter__(self) -> Opened:
        factory = await asyncio.to_thread(_import_and_learn)
        session = await asyncio.to_thread(_preloaded_session, factory, self._settings)
        self._opening = factory.open_transport(self._settings, session)
        opened: Opened = await self._opening.__aenter__()
        return opened

    async def __aexit__(self, *_: object) -> None:
        await self._opening.__aexit__(None, None, None)


def _import_and_learn() -> Any:
    for operation in ALL_OPERATIONS:
        learn(operation.request)
        learn(operation.answer)
    return import_module("aioecs._transport.transport_factory")


def _preloaded_session(factory: Any, settings: Settings) -> Any:
    session = factory.make_session(settings)
    if settings.session is not None:  # its client is created on the caller's loop; that of our own session in a thread
        factory.preload_models(session)
    return session
