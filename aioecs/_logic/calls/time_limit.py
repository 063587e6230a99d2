"""The time limit that a caller sets with `timeout=`."""

from __future__ import annotations

import attrs


@attrs.frozen(eq=False)
class TimeLimit:
    """When the time of one caller is over; it cancels the caller's starts as a token that fires."""

    seconds: float
    """The `timeout` as it was passed."""
    ends: float
    """When it is over, on the event loop's clock in seconds."""
    source: object
    """The `cancel_scope` that was passed beside it, or None: whichever fires first cancels."""
