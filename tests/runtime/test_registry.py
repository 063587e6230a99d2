"""registry: equal keys share a value, as long as it is in use or among the latest."""

from __future__ import annotations

import gc

from aioecs._runtime.registry import Registry


class Value:
    """Something that can be referred to weakly."""


def test_equal_keys_share_a_value() -> None:
    """It is made once."""
    registry: Registry[Value] = Registry(2)
    first = registry.get(("account", 1), Value)
    assert registry.get(("account", 1), Value) is first
    assert registry.get(("account", 2), Value) is not first


def test_the_latest_values_outlive_their_users() -> None:
    """The others live only while they are in use."""
    registry: Registry[Value] = Registry(2)
    first = registry.get("a", Value)
    marks = {key: id(registry.get(key, Value)) for key in ("b", "c")}
    assert registry.get("a", Value) is first
    assert id(registry.get("c", Value)) == marks["c"]
    gc.collect()
    assert set(registry._known) == {"a", "c"}


def test_after_a_fork_nothing_of_the_parent_is_shared() -> None:
    """Nor is a lock that one of its threads held."""
    registry: Registry[Value] = Registry(2)
    first = registry.get("a", Value)
    registry._lock.acquire()
    registry.clear()
    assert registry.get("a", Value) is not first
