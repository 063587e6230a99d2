"""The `__init__` of a shape, and what copies its values; generated, so that most members cost no call of Python's.

In the generated source, names that begin with an underscore are never those of members.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter, Signature
from typing import Any, NoReturn

import attrs

from aioecs._model.codec.hidden_slots import ENCODED, give_class, make, settable
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

    _name(__init__, cls)
    cls.__init__ = __init__


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
    names |= {"_refuse": refuse_unexpected, "_give_class": give_class}
    names |= {"_settable": settable(cls), "_settable_of": settable}
    lines = ["if _unexpected: _refuse(_type(self), _unexpected)"]
    for field in attrs.fields(cls):
        lines += _taken(field, names, as_it_stands)
    lines += ["_own = _type(self)", "_give_class(self, _settable if _own is _cls else _settable_of(_own))"]
    lines += [*[f"self.{name} = {name}" for name in of], f"self.{ENCODED} = None", "self.__class__ = _own", ""]
    source = "\n".join([f"def __init__({', '.join(given)}):", *[f"    {line}" for line in lines]])
    exec(compile(source, f"<init of {cls.__name__}>", "exec"), names)  # noqa: S102 made of the names of members alone
    made: Callable[..., None] = names["__init__"]
    _name(made, cls)
    return made


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
    names: dict[str, Any] = {"_make": make, "_cls": cls, "_settable": settable(cls)}
    lines = ["_copied = _make(_settable)", *[f"_copied.{name} = _value.{name}" for name in of]]
    lines += [f"_copied.{ENCODED} = None", "_copied.__class__ = _cls", "return _copied", ""]
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
