"""The command line, `aioecs`: it needs the extra `cli`, and prints that if it is missing."""

from __future__ import annotations

import sys

from aioecs.cli._display.status import CANNOT, INTERRUPTED

_EXTRA = frozenset({"rich", "shellingham", "typer"})


def main() -> None:
    """Run the command line and exit with its status: what the `aioecs` script calls."""
    try:
        from aioecs.cli._app import run

        status = run(sys.argv[1:])
    except ImportError as missing:
        if (missing.name or "").partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write("the command line needs its extra: pip install 'aioecs[cli]'\n")
        sys.exit(CANNOT)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(status)
