"""What a call needs of whoever looks it up."""

from __future__ import annotations

from typing import Protocol

from aioecs._logic.calls.actions import LookupDone
from aioecs._logic.calls.lookups import AmbiguousCall


class LooksUp(Protocol):
    """Looks ambiguous calls up: a `Reconciler`."""

    async def look(self, ambiguous_call: AmbiguousCall, patience: float) -> LookupDone:
        """LookUp up one up; it may wait so many seconds to be looked up together with others."""
        ...
