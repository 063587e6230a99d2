"""What all shapes share: frozen, slotted, keyword-only values, with ECS's names beside those in Python.

A shape has its name in the service model. Its fields are snake_case; `wire_name` returns ECS's spelling.
A value copies the lists and maps that it is given, as tuples and dicts, so that nobody can change it from outside.
Members of an answer that are not known here are kept in `extra`, under ECS's own spelling; what a caller puts there
is sent as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol, Self, TypeVar, cast, dataclass_transform

import attrs

from aioecs._model.codec.display import redacted, redacted_parts, refuse_unexpected, shown, shown_members, shown_names
from aioecs._model.codec.hidden_slots import (
    CODEC,
    ENCODED,
    HiddenSlots,
    decode_member,
    keep,
    keep_encoded,
    make,
    put_at,
    put_source,
    settable,
)
from aioecs._model.codec.initializer import MembersSignature, copier, set_initializer
from aioecs._model.codec.nothing import NOTHING
from aioecs.errors import InvalidRequest

T = TypeVar("T")
_WIRE = "wire"
_REQUIRED = "required"
_SECRET = "secret"  # noqa: S105 the name of a mark
_OWN = "own"
_VARIES = "varies"


def wire_name(attribute: attrs.Attribute[Any]) -> str:
    """Return the member's name as ECS spells it: `sizeInGiB` for `size_in_gib`."""
    name: str = attribute.metadata.get(_WIRE) or re.sub(r"_(\w)", lambda found: found[1].upper(), attribute.name)
    return name


def is_required(attribute: attrs.Attribute[Any]) -> bool:
    """Return whether ECS documents the member as required in a request."""
    return bool(attribute.metadata.get(_REQUIRED))


def is_secret(attribute: attrs.Attribute[Any]) -> bool:
    """Return whether the member's value must never be shown."""
    return bool(attribute.metadata.get(_SECRET))


def is_own(attribute: attrs.Attribute[Any]) -> bool:
    """Return whether the member is aioecs's own and never on the wire."""
    return bool(attribute.metadata.get(_OWN))


def varies(attribute: attrs.Attribute[Any]) -> bool:
    """Return whether requests that may share a call differ in the member."""
    return bool(attribute.metadata.get(_VARIES))


def member(
    *,
    wire: str | None = None,
    secret: bool = False,
    own: bool = False,
    varies: bool = False,
    default: Any = None,
    factory: Any = None,
    kept_by: Callable[[Any], Any] | None = None,
) -> Any:
    """Declare a member that `name: type = None` can't.

    It has another name on the wire, is a secret, is aioecs's own, differs among requests that may share a call
    (`varies`), or has a converter of its own (`kept_by`).
    """
    what: dict[str, Any] = {"factory": factory} if factory is not None else {"default": default}
    marks = {_WIRE: wire, _SECRET: secret, _OWN: own, _VARIES: varies}
    return attrs.field(repr=not secret, converter=kept_by, metadata=marks, **what)


def required(*, wire: str | None = None) -> Any:
    """Declare a member that a request must have; type checkers see a parameter without a default."""
    refuse: Any = _refuse  # the generated `__init__` gives it the member's name too, which attrs would not
    return attrs.field(default=attrs.Factory(refuse, takes_self=True), metadata={_WIRE: wire, _REQUIRED: True})


def _refuse(value: Any, name: str) -> Any:
    """Say that a required member is missing, which the generated `__init__` names."""
    raise InvalidRequest(f"{type(value).__name__}.{name}", "is required")


def own_tuple(value: Any) -> Any:
    """Copy a list to a tuple; leave what is no list to the check, which names it."""
    if value is None or type(value) is tuple:  # as most members of most values are
        return value
    if type(value) is list:
        return tuple(value)
    return tuple(value) if isinstance(value, (list, tuple, set, frozenset)) or hasattr(value, "__next__") else value


@lru_cache(maxsize=4096)
def _single_name(name: str) -> tuple[str]:
    return (name,)


def own_names(value: Any) -> Any:
    """Copy a list of names to a tuple; requests that name the same single instance share theirs.

    Thousands of requests name the same few instances, and the garbage collector traverses each tuple that is kept.
    """
    if type(value) is list and len(value) == 1 and type(value[0]) is str:
        return _single_name(value[0])
    return own_tuple(value)


def _own_dict(value: Any) -> Any:
    if type(value) is dict:  # to ask whether it is a Mapping takes longer than to copy it
        return value.copy()
    return dict(value) if isinstance(value, Mapping) else value


def _own_extra(value: Any) -> Any:
    return value if value is NOTHING else _own_dict(value) or NOTHING


# What the annotations of scalars, enums and lists and maps of them have in them; those of shapes have none of it.
_SCALAR = re.compile(r"\b(str|int|float|bool|datetime|Any)\b")


def _add_copiers(_cls: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """Give each list and map a converter that copies it, and each shape a repr without secrets."""

    def with_copier(field: attrs.Attribute[Any]) -> attrs.Attribute[Any]:
        declared = str(field.type)
        if field.repr is True and field.name != "extra" and not _SCALAR.search(declared):
            field = field.evolve(repr=shown)
        if declared.startswith("Sequence["):
            return field.evolve(converter=field.converter or own_tuple)
        # A dict has no hash; equal values still have equal hashes without it.
        return (
            field.evolve(converter=field.converter or _own_dict, hash=False)
            if declared.startswith("Mapping[")
            else field
        )

    return [with_copier(field) for field in fields]


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(member, required))
def request_shape(cls: type[T]) -> type[T]:
    """Make the class a frozen, slotted, keyword-only value whose members are set when it is made, such as a request."""
    frozen = cast(
        "Callable[[type[T]], type[T]]",
        attrs.frozen(kw_only=True, init=False, field_transformer=_add_copiers, repr=False),
    )
    made: Any = frozen(cls)
    set_initializer(made, AS_IT_STANDS, refuse_unexpected)
    return cast("type[T]", made)


AS_IT_STANDS: dict[Callable[[Any], Any], str] = {
    own_tuple: "{0} is None or _type({0}) is tuple",
    own_names: "_type({0}) is tuple",
    _own_dict: "{0} is None",
    _own_extra: "{0} is NOTHING",
}
"""By converter: when it would return a value as it is. Modules with a converter of their own add to it."""


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(member, required))
def shape(cls: type[T]) -> type[T]:
    """Make the class such a value that is part of answers, whose members are decoded when they are asked for.

    Requests and what they hold are made by `request_shape`: Python takes several times as long to look a member up on
    a class that has `__getattr__`.
    """
    made: Any = request_shape(cls)
    made.__getattr__ = decode_member
    return cast("type[T]", made)


def is_lazy(cls: type[Any]) -> bool:
    """Return whether members of such values can be decoded when they are asked for."""
    return hasattr(cls, "__getattr__")


def _spelled(held: Any) -> Any:
    """Return what is equal where the JSON is equal: True, 1 and 1.0 are equal in Python, and differ in JSON."""
    if isinstance(held, dict):
        return {_spelled_scalar(name): _spelled(one) for name, one in held.items()}
    return [_spelled(one) for one in held] if isinstance(held, (list, tuple)) else _spelled_scalar(held)


def _spelled_scalar(held: Any) -> Any:
    return (type(held), repr(held)) if isinstance(held, (int, float)) else held


_ReplacePlan = tuple[Callable[[Any], Any], Mapping[str, Callable[[Any], Any] | None], frozenset[str]]
_REPLACE_PLANS: dict[type[Any], _ReplacePlan] = {}


def _replace_plan(cls: type[Any]) -> _ReplacePlan:
    """Make and remember what `replace` needs: what copies a value, the converters of its members, and which vary.

    `attrs.evolve` looks these up each time, and sets members by name.
    """
    converters = {field.name: field.converter for field in attrs.fields(cls)}
    varying = frozenset(field.name for field in attrs.fields(cls) if varies(field))
    plan = _REPLACE_PLANS[cls] = copier(cls), converters, varying
    return plan


@request_shape
class Shape(HiddenSlots):
    """What all shapes share."""

    __signature__ = MembersSignature()

    extra: Mapping[str, Any] = attrs.field(default=NOTHING, converter=_own_extra, repr=shown_names, eq=_spelled)
    """Members that this version of aioecs doesn't know, under ECS's own names; equal where they are spelled alike."""

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Make a value of a dict as boto3 and the AWS CLI have it: camelCase members, times as datetimes or in seconds.

        Members that this version doesn't know are kept in `extra`. Limits are checked when a request is sent.

        Raises:
            InvalidRequest: it is no mapping, or a member is spelled as in Python, such as `task_definition`.
        """
        CODEC.check_spelling(cls, plain, cls.__name__)
        shaped: Self = CODEC.from_plain(cls, plain)
        return shaped

    def to_dict(self) -> dict[str, Any]:
        """Return a dict as boto3 has it: camelCase members, times as datetimes, what is None left out.

        It contains secrets in plain text.
        """
        plain: dict[str, Any] = CODEC.to_plain(self, moments=True)
        return plain

    def __repr__(self) -> str:
        """Show the members that are set; what may be secret is shown by its kind alone."""
        return f"{type(self).__name__}({', '.join(shown_members(self))})"

    def redacted(self) -> Self:
        """Return a copy in which each secret, such as the value of an environment variable, reads `[redacted]`.

        So does what stands in `extra`, and whatever stands where a shape belongs and is none.
        """
        kind: type[Any] = type(self)
        return self.replace(**{field.name: _without_secrets(field, self) for field in attrs.fields(kind)})

    def replace(self, **changes: Any) -> Self:
        """Return a copy with these members changed; the rest is shared with this one."""
        cls = type(self)
        copy, converters, varying = _REPLACE_PLANS.get(cls) or _replace_plan(cls)
        copied: Self = copy(self)
        encoded: str | None = getattr(self, ENCODED, None)
        for name, held in changes.items():
            if name not in converters:
                raise TypeError(f"{cls.__name__} has no member {name!r}")
            own = converters[name]
            keep(copied, name, held if own is None else own(held))
            if name not in varying:
                encoded = None
        if encoded is not None:
            keep_encoded(copied, encoded)
        return copied


def _without_secrets(field: attrs.Attribute[Any], value: Shape) -> Any:
    held = getattr(value, field.name)
    if is_secret(field) or field.name == "extra":
        return redacted(held)
    return redacted_parts(held) if field.repr is shown else held


S = TypeVar("S", bound=Shape)
Decoders = Mapping[str, Callable[[Mapping[str, Any]], Any]]
"""What decodes each member of a shape from a plain form, by the member's name in Python."""


class Parts(Protocol):
    """The plain forms of several values that are decoded together."""

    def part(self, at: int | None, name: str, /) -> Mapping[str, Any]:
        """Return that of a value by its number, or of the whole; all that matters in it is the member of this name."""
        ...


Source = dict[str, Any] | Parts
"""What a value is decoded from. The plain form belongs to the value."""


def lazy_value(cls: type[S], source: Source, at: int | None = None) -> S:
    """Make a value whose members are decoded when they are first asked for."""
    value = make(cls)
    put_source(value, source)
    put_at(value, at)
    return value


def decoded(cls: type[S], plain: Mapping[str, Any], decoders: Decoders) -> S:
    """Make a value whose members are all decoded now."""
    value: Any = make(settable(cls))
    for name, decode in decoders.items():
        setattr(value, name, decode(plain))
    value.__class__ = cls
    keep_encoded(value, None)
    made: S = value
    return made
