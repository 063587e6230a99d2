"""`python -m aioecs.conformance`: the same as `aioecs conformance`."""

from __future__ import annotations

import sys

from aioecs.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "conformance")
    main()
