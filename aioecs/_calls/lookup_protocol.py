"""What a call needs of a reconciler."""

from __future__ import annotations

from typing import Protocol

from aioecs._logic.calls.actions import LookupDone
from aioecs._logic.calls.lookups import AmbiguousCall


class ReconcilerProtocol(Protocol):
    """Looks ambiguous calls up: a `Reconciler`."""

    async def look_up(self, ambiguous_call: AmbiguousCall, patience: float) -> LookupDone:
        """Look one call up; it may wait `patience` seconds to be looked up together with others."""
        ...
