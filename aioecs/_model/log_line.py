"""One line of a container's log."""

from __future__ import annotations

from datetime import datetime

import attrs


@attrs.frozen
class LogLine:
    """One line that a container wrote. The text is in no repr: it may hold secrets."""

    container: str
    """Name of the container in the task definition."""
    time: datetime
    """When it was written, in UTC."""
    text: str = attrs.field(repr=False)
    """What was written, without the end of the line."""
