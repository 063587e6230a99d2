"""`python -m aioecs`: the command line, as `aioecs`."""

from __future__ import annotations

from aioecs.cli import main

if __name__ == "__main__":
    main()
