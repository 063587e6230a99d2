"""Opening a port without blocking the loop: what takes long is imported, read and compiled in a thread first.

aiobotocore takes a third of a second to import, botocore parses megabytes of JSON, and aioecs reads the annotations of
its shapes: once a process each. What the thread leaves behind is in caches, which the client then finds.

The thread shares the interpreter with the loop, which gets its turn within a switch interval or two (5 ms each).
One thing is nobody's to share: a full garbage collection, which loading so much may bring on, and which is as long as
the process is large. Whoever can't have it while serving opens a client before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from aioecs._model.codec.plain import learn
from aioecs._transport.settings import Settings
from aioecs._transport.transport import EVERY

if TYPE_CHECKING:
    from aioecs._transport.botocore.botocore_transport import BotocoreTransport
    from aioecs._transport.native.native_transport import NativeTransport
    from aioecs._transport.recovering_transport import RecoveringPort


@asynccontextmanager
async def connected(
    settings: Settings,
) -> AsyncGenerator[tuple[BotocoreTransport | NativeTransport | RecoveringPort, Any]]:
    """Open the port, and the aiobotocore client beneath it, for the length of the block.

    A cancel while the thread is at work leaves it to end by itself, with nothing open.

    Raises:
        ConfigurationError: no Region, an unknown Region or profile, or settings that contradict each other.
    """
    connect = await asyncio.to_thread(_prepared)
    session = await asyncio.to_thread(_warmed, connect, settings)
    async with connect.connected(settings, session) as opened:
        yield opened


def _prepared() -> Any:
    for operation in EVERY:
        learn(operation.request)
        learn(operation.answer)
    return import_module("aioecs._transport.connect")


def _warmed(connect: Any, settings: Settings) -> Any:
    session = connect.session_of(settings)
    connect.warm(session)
    return session
