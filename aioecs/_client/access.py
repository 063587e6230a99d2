"""What the worker and the client's own parts use of a client and a batch beside their public methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from aioecs._batch.batch import Batch, session_of

if TYPE_CHECKING:
    from aioecs._runtime.client_core import CallerWaits
    from aioecs._runtime.event_emitter import Emit
    from aioecs._transport.settings import Settings


@attrs.frozen
class Access:
    """How a client reaches AWS: its settings, and the Region that was found for it."""

    settings: Settings
    region: str
    emit: Emit | None
    """Emits an event to the client's `on_event`; None without a listener."""
    caller_waits: CallerWaits
    """Says when the client is closed."""


def check_each_send(batch: Batch, may_send: Callable[[str], bool]) -> None:
    """Call `may_send` with a start's idempotency key in the last step before each send; if False, nothing is sent.

    Parts of a request beyond its first ten instances have keys of their own: the key, NUL, and where they begin.
    """
    session_of(batch).may_send = may_send
