"""The health file of a worker: what it writes while it runs, and what a check reads."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

STALE_AFTER = 20.0  # in seconds: a health file that is older is of a worker that has ended or hangs


def default_health_file() -> Path:
    """Return the health file of this user."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir()) / f"aioecs-worker-{user}.json"


def write_health(path: Path, *, healthy: bool, now: float) -> None:
    """Write whether the worker is healthy, so that a reader never sees half of it.

    Raises:
        OSError: the file can't be written.
    """
    number, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            json.dump({"healthy": healthy, "at": now, "pid": os.getpid()}, file)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def remove_health(path: Path) -> None:
    """Remove the health file of a worker that has ended; one that can't be removed grows old."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def why_unhealthy(path: Path, now: float) -> str | None:
    """Return why the worker of a health file is not healthy; None if it is."""
    try:
        if hasattr(os, "getuid") and path.lstat().st_uid != os.getuid():
            return f"{path} is another user's"
        held: Any = json.loads(path.read_text(encoding="utf-8"))
        age = now - float(held["at"])
        healthy = held["healthy"] is True
    except FileNotFoundError:
        return f"no worker runs that writes {path}"
    except (OSError, ValueError, TypeError, KeyError) as error:
        return f"{path} can't be read: {type(error).__name__}"
    if not healthy:
        return "its ledger or its queue can't be reached, or it has not begun or is ending"
    return f"it has not reported for {age:.0f} s" if age > STALE_AFTER else None
