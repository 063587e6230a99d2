"""Groups of options that several commands share: a command gets each group as one value."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

Command = Callable[..., int]


def with_group(make: Callable[..., Any], name: str, *, first: bool = False) -> Callable[[Command], Command]:
    """Return a decorator that adds a group's options to a command, which gets what `make` makes of them as `name`.

    The options are the parameters of `make`. Help lists them after those of the command, or before with `first`.
    """
    # The annotation of the group itself need not exist at run time: its import may be slow.
    unread = {make.__annotations__.get("return", ""): Any}
    options = inspect.signature(make, eval_str=True, locals=unread).parameters

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True, locals=unread)
        own = [each.replace(kind=each.KEYWORD_ONLY) for each in signature.parameters.values() if each.name != name]

        @wraps(command)
        def with_value(**given: Any) -> int:
            value = make(**{each: given.pop(each) for each in options if each in given})
            return command(**given, **{name: value})

        parameters = [*options.values(), *own] if first else [*own, *options.values()]
        with_value.__dict__["__signature__"] = signature.replace(parameters=parameters)
        # typer reads the signature and the annotations; those of the wrapped function name what is no option.
        with_value.__annotations__ = {each.name: each.annotation for each in parameters}
        del with_value.__dict__["__wrapped__"]
        return with_value

    return decorate
