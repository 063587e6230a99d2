"""worker_run: it runs a worker of the user's module."""

from __future__ import annotations

from pathlib import Path

import pytest

from aioecs.cli._options import UsageError
from aioecs.cli._serving.worker_run import load_factory


def test_a_function_is_found_in_the_current_directory(module: Path) -> None:
    """Without a package."""
    assert callable(load_factory("jobs_of_test:make_none"))
    with pytest.raises(UsageError):
        load_factory("jobs_of_test:")
