"""Public names: where a class says that it comes from, in reprs, tracebacks and pickles."""

from __future__ import annotations

import pickle
import pydoc

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
    """The strings under the fields are part of the docstring, under the class's own words."""
    text = pydoc.plain(pydoc.render_doc(public))
    assert f"    {field}: " in text
    assert said in text
    missing = [each.name for each in attrs.fields(public) if f"    {each.name}: " not in text and each.name != "extra"]
    assert missing == []
