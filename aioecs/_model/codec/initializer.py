"""The `__init__` of a shape, generated so that a member which is already the value's own costs no call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from aioecs._model.codec.hidden_slots import keep_encoded
from aioecs._model.codec.nothing import NOTHING

Converter = Callable[[Any], Any]


def initializer(cls: type[Any], as_it_stands: Mapping[Converter, str]) -> Callable[..., None]:
    """Return the `__init__` of a frozen class with slots: what attrs makes of its fields, and faster.

    `as_it_stands` has, for some converters, the condition under which one would return the value unchanged. Its names,
    as those of the source, begin with an underscore: no member's does.
    """
    given, lines = ["self"], []
    names: dict[str, Any] = {"MISSING": attrs.NOTHING, "NOTHING": NOTHING, "_keep": keep_encoded, "_type": type}
    for field in attrs.fields(cls):
        given += [*(["*"] if len(given) == 1 else []), f"{field.name}=_default_{field.name}"]
        lines += _taken(field, names, as_it_stands)
        names[f"_put_{field.name}"] = getattr(cls, field.name).__set__
        lines.append(f"_put_{field.name}(self, {field.name})")
    source = "\n".join([f"def __init__({', '.join(given)}):", *[f"    {line}" for line in lines]])
    whole = compile(f"{source}\n    _keep(self, None)\n", f"<init of {cls.__name__}>", "exec")
    exec(whole, names)  # noqa: S102 made of the names of members alone
    made: Callable[..., None] = names["__init__"]
    made.__qualname__, made.__module__ = f"{cls.__qualname__}.__init__", cls.__module__
    made.__annotations__ = {field.name: field.type for field in attrs.fields(cls)} | {"return": None}
    return made


def _taken(field: attrs.Attribute[Any], names: dict[str, Any], as_it_stands: Mapping[Converter, str]) -> list[str]:
    """Write the lines that make what was given, or the default, what the value keeps."""
    name, lines = field.name, []
    default: Any = field.default
    make = getattr(default, "factory", None)  # of an attrs.Factory
    names[f"_default_{name}"] = attrs.NOTHING if make is not None else default
    if make is not None:
        names[f"_make_{name}"] = make
        lines.append(f"if {name} is MISSING: {name} = _make_{name}({'self' if default.takes_self else ''})")
    own: Any = field.converter
    if own is not None:
        names[f"_own_{name}"] = own
        condition = as_it_stands.get(own)
        unless = f"if not ({condition.format(name)}): " if condition is not None else ""
        lines.append(f"{unless}{name} = _own_{name}({name})")
    return lines
