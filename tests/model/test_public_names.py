"""Public names: where a class says that it comes from, in reprs, tracebacks and pickles."""

from __future__ import annotations

import pickle
import pydoc
import subprocess
import sys

import attrs
import pytest

import aioecs
from aioecs._model.public_names import publish


@pytest.mark.parametrize("name", aioecs.__all__)
def test_what_is_public_says_so(name: str) -> None:
    """Nothing at the top level names a private module."""
    assert not getattr(getattr(aioecs, name), "__module__", "aioecs").startswith("aioecs._")


@pytest.mark.parametrize("name", aioecs.types.__all__)
def test_a_shape_is_found_where_it_says(name: str) -> None:
    """A class can be pickled by the name of the module that it says."""
    public = getattr(aioecs.types, name)
    if isinstance(public, type):
        assert pickle.loads(pickle.dumps(public)) is public  # noqa: S301 our own
        assert public.__module__ in ("aioecs", "aioecs.types")


def test_what_is_not_ours_is_left_alone() -> None:
    """A name that comes from elsewhere keeps its module."""
    publish("aioecs", ["int", "text"], {"int": int, "text": "no class"})
    assert int.__module__ == "builtins"


FORKS = """
import os, sys
import aiobotocore.session, aiohttp, anyio, attrs, pickle

assert not any(name.startswith("aioecs") for name in sys.modules)
codes, sys.argv[1:] = sys.argv[1:], []
for code in codes:
    if not os.fork():
        sys.argv.clear()
        exec(code)
        print("aioecs._exports" in sys.modules, flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, code
"""
"""Runs each piece of code in a new process, after what aioecs needs of others has been imported."""


def test_names_are_imported_when_the_first_is_needed() -> None:
    """`import aioecs` alone costs next to nothing; any public name, `dir`, `*` or a pickle brings all of them."""
    imported = {
        "import aioecs": False,
        "import aioecs; aioecs.__version__": False,
        "import aioecs; hasattr(aioecs, '__wrapped__')": False,
        "import aioecs; aioecs.Task.__module__ == 'aioecs.types' or 1 / 0": True,
        "from aioecs import types, Task; types.Task is Task or 1 / 0": True,
        "from aioecs import *; Client, task_result, is_retry_safe": True,
        "import aioecs; {'Client', 'types'} <= set(dir(aioecs)) or 1 / 0": True,
        "import aioecs; 'Client' in aioecs.__all__ or 1 / 0": True,
        "import aioecs._client.client, aioecs; aioecs.Client is aioecs._client.client.Client or 1 / 0": True,
        "import aioecs.types, aioecs; aioecs.types.Task.__module__ == 'aioecs.types' or 1 / 0": False,
        "import pickle; pickle.loads(pickle.dumps(pickle.loads(b'caioecs\\nTimeouts\\n.')))": True,
    }
    command = [sys.executable, "-W", "error", "-c", FORKS, *imported]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert dict(zip(imported, map(eval, done.stdout.split()), strict=True)) == imported


def test_what_a_test_replaces_stays_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for a name that doesn't exist doesn't put the others back."""
    monkeypatch.setattr(aioecs, "Client", None)
    assert not hasattr(aioecs, "no_such_name")
    assert aioecs.Client is None


def test_a_shape_that_is_not_at_the_top_level_is_pointed_to() -> None:
    """The error says where it is."""
    with pytest.raises(AttributeError, match=r"it is aioecs\.types\.TaskDefinition"):
        getattr(aioecs, "Task" + "Definition")


@pytest.mark.parametrize(
    ("public", "field", "said"),
    [
        (aioecs.Timeouts, "connect", "seconds"),
        (aioecs.StartResult, "outcome", ""),
        (aioecs.Task, "cluster_arn", "ARN of its cluster"),
        (aioecs.types.CallBegun, "token", ""),
        (aioecs.types.Resource, "name", ""),
    ],
)
def test_help_shows_a_line_on_every_field(public: type, field: str, said: str) -> None:
    """The strings under the fields are part of the docstring, under the class's own text."""
    text = pydoc.plain(pydoc.render_doc(public))
    assert f"    {field}: " in text
    assert said in text
    missing = [each.name for each in attrs.fields(public) if f"    {each.name}: " not in text and each.name != "extra"]
    assert missing == []
