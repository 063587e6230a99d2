"""The `__init__` of a shape, and what copies its values; generated, so that most members cost no call of Python's.

In the generated source, names that begin with an underscore are never those of members.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter, Signature
from types import MemberDescriptorType
from typing import Any, NoReturn

import attrs

from aioecs._model.codec.hidden_slots import ENCODED, give_class, keep, make, settable
from aioecs._model.codec.nothing import NOTHING

Converter = Callable[[Any], Any]


def set_initializer(
    cls: type[Any],
    as_it_stands: Mapping[Converter, str],
    refuse_unexpected: Callable[[type[Any], Iterable[str]], NoReturn],
) -> None:
    """Give a frozen class with slots its `__init__`, which is made when the first value is.

    Of most shapes a process makes no value in this way, and to compile all of them takes a while.
    """

    def __init__(self: Any, *args: Any, **members: Any) -> None:  # noqa: N807 what it is called
        made = initializer(cls, as_it_stands, refuse_unexpected)
        cls.__init__ = made
        made(self, *args, **members)

    _OURS.add(cls)
    _name(__init__, cls)
    cls.__init__ = __init__


_OURS: set[type[Any]] = set()
"""The classes with such an `__init__`: not those that are derived from them."""


def initializer(
    cls: type[Any],
    as_it_stands: Mapping[Converter, str],
    refuse_unexpected: Callable[[type[Any], Iterable[str]], NoReturn],
) -> Callable[..., None]:
    """Return the `__init__` of a frozen class with slots: what attrs makes of its fields, and faster.

    `as_it_stands` has, for some converters, the condition under which one would return the value unchanged.
    `refuse_unexpected(cls, names)` raises for what is no member: to take such names costs less than a wrapper would.
    """
    of = [field.name for field in attrs.fields(cls)]
    given = ["self", "*", *[f"{name}=_default_{name}" for name in of], "**_unexpected"]
    names: dict[str, Any] = {"MISSING": attrs.NOTHING, "NOTHING": NOTHING, "_type": type, "_cls": cls}
    names |= {"_refuse": refuse_unexpected, "_give_class": give_class, "_settable": settable(cls)}
    names |= _setters(cls, of)
    lines = ["if _unexpected: _refuse(_type(self), _unexpected)"]
    for field in attrs.fields(cls):
        lines += _taken(field, names, as_it_stands)
    lines += ["if _type(self) is _cls:", "    _give_class(self, _settable)"]
    lines += [*[f"    self.{name} = {name}" for name in of], f"    self.{ENCODED} = None", "    self.__class__ = _cls"]
    lines += ["else:", *[f"    _put_{name}(self, {name})" for name in of], f"    _put_{ENCODED}(self, None)", ""]
    source = "\n".join([f"def __init__({', '.join(given)}):", *[f"    {line}" for line in lines]])
    exec(compile(source, f"<init of {cls.__name__}>", "exec"), names)  # noqa: S102 made of the names of members alone
    made: Callable[..., None] = names["__init__"]
    _name(made, cls)
    return made


def _setters(cls: type[Any], names: Iterable[str]) -> dict[str, Any]:
    """Return what sets each member by its slot, also of a value of a subclass that somebody else has made.

    Of such a class no settable one is derived: to derive a class may do anything.
    """
    return {f"_put_{name}": _setter(cls, name) for name in (*names, ENCODED)}


def _setter(cls: type[Any], name: str) -> Callable[[Any, Any], None]:
    for base in cls.__mro__:
        slot = vars(base).get(name)
        if isinstance(slot, MemberDescriptorType):
            return slot.__set__
    return lambda value, held: keep(value, name, held)


def _name(init: Callable[..., None], cls: type[Any]) -> None:
    init.__qualname__, init.__module__ = f"{cls.__qualname__}.__init__", cls.__module__
    init.__annotations__ = {field.name: field.type for field in attrs.fields(cls)} | {"return": None}


class MembersSignature:
    """The `__signature__` of a class with such an `__init__`: its members, each by its name alone."""

    def __get__(self, _: object, cls: type[Any]) -> Signature:
        """Return it; it is made when it is asked for, as by `help()`."""
        fields = attrs.fields(cls)
        return Signature([_parameter(field) for field in fields], return_annotation=None)


def _parameter(field: attrs.Attribute[Any]) -> Parameter:
    makes = field.default is not None and hasattr(field.default, "factory")
    default = attrs.NOTHING if makes else field.default
    return Parameter(field.name, Parameter.KEYWORD_ONLY, default=default, annotation=field.type)


def copier(cls: type[Any]) -> Callable[[Any], Any]:
    """Return what copies a value of a class: the copy shares all members, and its JSON is not kept."""
    of = [field.name for field in attrs.fields(cls)]
    names: dict[str, Any] = {"_make": make, "_cls": cls}
    if cls in _OURS:
        names["_settable"] = settable(cls)
        lines = ["_copied = _make(_settable)", *[f"_copied.{name} = _value.{name}" for name in of]]
        lines += [f"_copied.{ENCODED} = None", "_copied.__class__ = _cls"]
    else:
        names |= _setters(cls, of)
        lines = ["_copied = _make(_cls)", *[f"_put_{name}(_copied, _value.{name})" for name in of]]
        lines += [f"_put_{ENCODED}(_copied, None)"]
    lines += ["return _copied", ""]
    source = "\n".join(["def copy(_value):", *[f"    {line}" for line in lines]])
    exec(compile(source, f"<copy of {cls.__name__}>", "exec"), names)  # noqa: S102 made of the names of members alone
    copy: Callable[[Any], Any] = names["copy"]
    return copy


def _taken(field: attrs.Attribute[Any], names: dict[str, Any], as_it_stands: Mapping[Converter, str]) -> list[str]:
    """Write the lines that make what was given, or the default, what the value keeps."""
    name, lines = field.name, []
    default: Any = field.default
    make = getattr(default, "factory", None)  # of an attrs.Factory
    names[f"_default_{name}"] = attrs.NOTHING if make is not None else default
    if make is not None:
        names[f"_make_{name}"] = make
        lines.append(f"if {name} is MISSING: {name} = _make_{name}({f'self, {name!r}' if default.takes_self else ''})")
    own: Any = field.converter
    if own is not None:
        names[f"_own_{name}"] = own
        condition = as_it_stands.get(own)
        unless = f"if not ({condition.format(name)}): " if condition is not None else ""
        lines.append(f"{unless}{name} = _own_{name}({name})")
    return lines
