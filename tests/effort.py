"""How much the tests that repeat themselves do: AIOECS_TEST_EFFORT=10 tries ten times as many random cases."""

from __future__ import annotations

import os

EFFORT = int(os.environ.get("AIOECS_TEST_EFFORT", "1"))
