"""The public surface: every name in one module, closed under its own types, and a docstring under each."""

from __future__ import annotations

import ast
import collections.abc
import importlib
import inspect
import re
import sys
import types
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import attrs
import pytest

import aioecs

PACKAGE = Path(aioecs.__file__).parent
PUBLIC_MODULES = [
    f"aioecs.{name}".removesuffix(".")
    for name in ("", "types", "sync", "testing", "worker", "otel")
    if not name or (PACKAGE / name).exists() or (PACKAGE / f"{name}.py").exists()
]
each_module = pytest.mark.parametrize("public_module", PUBLIC_MODULES)

# The names of design.md §2, and of the issues that have been built since.
DESIGNED = (
    "Client StartTaskResponse Batch Spread Binpack Random DistinctInstance MemberOf CancelToken StartResult Outcome "
    "BatchReport ECSError ClientException ClusterNotFoundException InvalidParameterException ServerException "
    "UnsupportedFeatureException AccessDeniedException NamespaceNotFoundException ThrottlingException ECSServiceError "
    "InvalidRequest StartCancelled StartUnknown StartIncomplete IdempotencyMismatch CallTimeout is_retry_safe "
    "find_start_error Timeouts Retries Pacing StartTaskRequest TaskOverride ContainerOverride KeyValuePair "
    "AwsVpcConfiguration TaskManagedEBSVolumeConfiguration"
)
METHODS = {
    "Client": "start_task start_tasks batch place_tasks stop_task describe_tasks list_tasks list_container_instances "
    "describe_container_instances describe_task_definition run_task raw wait_until_running wait_until_stopped "
    "watch feed",
    "Batch": "start_task start_tasks statistics",
    "CancelToken": "cancel cancel_after cancelled reason raise_if_cancelled add_callback remove_callback linked wait",
    "StartTaskResponse": "tasks failures request_id token attempts raise_for_failures",
    "StartResult": "request container_instance outcome task failure error token attempts",
    "BatchReport": "starts started refused not_sent stopped unknown tasks statistics raise_for_failures",
    "ECSServiceError": "retry_safe throttled",
    "StartCancelled": "outcome starts tasks failures",
    "sync.Client": "start_task start_tasks place_tasks begin_start_task end_start_task wait_until_running "
    "wait_until_stopped",
}


def module(public_module: str) -> types.ModuleType:
    return importlib.import_module(public_module)


def names(public_module: str) -> list[str]:
    listed: list[str] = module(public_module).__all__
    return listed


def public() -> dict[str, Any]:
    """Return every public thing by its documented place."""
    return {
        f"{public_module}.{name}": getattr(module(public_module), name)
        for public_module in PUBLIC_MODULES
        for name in names(public_module)
    }


def reexported(places: list[str]) -> bool:
    """Return whether a thing is in `aioecs.types` and at the top level, as what users type every day is."""
    return {place.rpartition(".")[0] for place in places} == {"aioecs", "aioecs.types"}


def in_order(name: str) -> tuple[int, str]:
    """Sort as ruff does: CONSTANTS, then Classes, then functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


@each_module
def test_all_is_sorted_and_names_what_is_there(public_module: str) -> None:
    """Once each, and no module of the package."""
    assert names(public_module) == sorted(set(names(public_module)), key=in_order)
    for name in names(public_module):
        assert not name.startswith("_")
        assert not inspect.ismodule(getattr(module(public_module), name))


@each_module
def test_all_is_complete(public_module: str) -> None:
    """What a public package holds, and what a public module defines, is listed."""
    there = module(public_module)
    held = {
        name: value
        for name, value in vars(there).items()
        if not name.startswith("_") and name not in ("annotations", "TYPE_CHECKING")
    }
    if not hasattr(there, "__path__"):
        held = {name: value for name, value in held.items() if getattr(value, "__module__", None) == public_module}
        held = {name: value for name, value in held.items() if inspect.isclass(value) or inspect.isfunction(value)}
    listed = set(names(public_module))
    if not hasattr(there, "__path__"):  # an alias of a type doesn't say where it was made
        listed = {name for name in listed if hasattr(getattr(there, name), "__module__") and name in held}
    assert {name for name, value in held.items() if not inspect.ismodule(value)} == listed


def test_every_name_is_public_in_one_module() -> None:
    """No thing is documented at two places."""
    places: dict[int, list[str]] = {}
    for place, value in public().items():
        if not isinstance(value, (int, str)):
            places.setdefault(id(value), []).append(place)
    assert [found for found in places.values() if len(found) > 1 and not reexported(found)] == []


def test_what_the_design_promises_is_there() -> None:
    """Name by name, and method by method."""
    assert set(DESIGNED.split()) <= set(aioecs.__all__)
    for kind, methods in METHODS.items():
        assert set(methods.split()) <= set(dir(public()[f"aioecs.{kind}"]))


# Closed under its own types ------------------------------------------------------------------------------------------

# Methods of a public class that only the package calls, with private values.
INSIDE = {
    "Batch.__init__",
}


def methods_of(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield the public methods and properties that a class has from aioecs, and its constructor."""
    for name, held in inspect.getmembers_static(kind):
        function = held.fget if isinstance(held, property) else getattr(held, "__func__", held)
        own = getattr(function, "__module__", None) or ""
        wanted = not name.startswith("_") or (name == "__init__" and not attrs.has(kind))
        if wanted and inspect.isfunction(function) and own.startswith("aioecs"):
            yield name, function


def kinds_in(hint: Any) -> Iterator[type]:
    """Yield the classes that a type hint is made of."""
    if isinstance(hint, (list, tuple)):
        for part in hint:
            yield from kinds_in(part)
    elif inspect.isclass(origin := typing.get_origin(hint) or hint):
        yield origin
    yield from (kind for part in get_args(hint) for kind in kinds_in(part))


def hinted(thing: Any) -> Iterator[tuple[str, Any]]:
    """Yield all that a public thing lets callers hand over, read or get."""
    # A hint may be of a base in another module, which has imported some of its names for type checkers alone.
    around = [vars(sys.modules[base.__module__]) for base in bases_of(thing)] if inspect.isclass(thing) else []
    known = {**vars(collections.abc), **vars(aioecs)}
    for names_there in [vars(sys.modules[thing.__module__]), *around]:
        known |= names_there
    if inspect.isfunction(thing):
        yield thing.__name__, typing.get_type_hints(thing, {**known, **inspect.unwrap(thing).__globals__})
    else:
        yield thing.__name__, typing.get_type_hints(thing, known)
        for name, function in methods_of(thing):
            yield (
                f"{thing.__name__}.{name}",
                typing.get_type_hints(function, {**known, **inspect.unwrap(function).__globals__}),
            )


@pytest.mark.parametrize(
    "public_module", [public_module for public_module in PUBLIC_MODULES if public_module != "aioecs.testing"]
)
def test_types_are_public(public_module: str) -> None:
    """Whatever a public name takes or gives is public too; or a caller could not write its type."""
    known = {id(value) for value in public().values()}
    inside = [
        f"{where}: {kind.__module__}.{kind.__name__}"
        for name in names(public_module)
        if inspect.isclass(thing := getattr(module(public_module), name)) or inspect.isfunction(thing)
        for where, hints in hinted(thing)
        if where not in INSIDE
        for kind in kinds_in([hint for name, hint in hints.items() if not name.startswith("_")])
        if kind.__module__.startswith("aioecs") and id(kind) not in known
    ]
    assert inside == []


# Docstrings ----------------------------------------------------------------------------------------------------------


@cache
def classes_of(path: str) -> dict[str, ast.ClassDef]:
    tree = ast.parse(Path(path).read_text())
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


@cache
def client_classes() -> dict[str, ast.ClassDef]:
    """Return the classes of the client's private packages by name: they say the public module that shows them."""
    files = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0].startswith("_")]
    return {name: node for path in files for name, node in classes_of(str(path)).items()}


def definition_of(kind: type) -> ast.ClassDef:
    if kind.__module__ in ("aioecs", "aioecs.types"):
        return client_classes()[kind.__name__]
    return node_of(kind)


def is_text(node: ast.stmt | None) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and bool(str(node.value.value).strip())


def assigned(node: ast.stmt) -> str | None:
    """Return the public name that a statement gives a value or a type: in a class, or on `self`."""
    target = (
        node.target if isinstance(node, ast.AnnAssign) else node.targets[0] if isinstance(node, ast.Assign) else None
    )
    if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self":
        name = target.attr
    else:
        name = target.id if isinstance(target, ast.Name) else "_"
    return None if name.startswith("_") else name


def members(kind: ast.ClassDef) -> Iterator[tuple[str, bool]]:
    """Yield the public methods, fields and attributes of a class, and whether a docstring is under each.

    An attribute may be described in the docstring of its class instead.
    """
    docstring = ast.get_docstring(kind) or ""
    made = [node.body for node in kind.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    for body in [kind.body, *made]:
        for node, after in zip(body, [*body[1:], None], strict=True):
            if (name := assigned(node)) is not None:
                yield name, is_text(after) or re.search(rf"\b{name}\b", docstring) is not None
    for node in kind.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
            yield node.name, ast.get_docstring(node) is not None


def undocumented(kind: type) -> set[str]:
    """Collect what a class and those it inherits from here leave without a docstring."""
    all_of_it = [definition_of(base) for base in bases_of(kind)]
    held = [member for node in all_of_it for member in members(node)]
    bare = {name for name, _ in held} - {name for name, documented in held if documented}
    return {f"{kind.__name__}.{name}" for name in bare} | {
        node.name for node in all_of_it if not ast.get_docstring(node)
    }


def node_of(kind: type) -> ast.ClassDef:
    """Find the source of a class: its module says where it is imported from, which need not be where it is written."""
    source = Path(inspect.getsourcefile(kind) or "")
    files = [source, *(source.parent.glob("*.py") if source.name == "__init__.py" else ())]
    return next(found for file in files if (found := classes_of(str(file)).get(kind.__name__)) is not None)


def bases_of(kind: type) -> list[type]:
    return [base for base in kind.__mro__ if base.__module__.startswith("aioecs")]


@each_module
def test_a_docstring_under_each(public_module: str) -> None:
    """Classes with what they inherit in aioecs, methods, properties, fields, enum members, functions."""
    bare: set[str] = set()
    for name in names(public_module):
        thing = getattr(module(public_module), name)
        if inspect.isfunction(thing):
            bare |= {name} if not inspect.getdoc(thing) else set()
        elif inspect.isclass(thing):
            bare |= undocumented(thing)
    assert bare == set()


# What type checkers compile ------------------------------------------------------------------------------------------


def test_the_typed_example_uses_all_of_it() -> None:
    """Every name of the client's modules, and every public method of a client, is in `tests/typing/api.py`."""
    compiled = ast.parse((Path(__file__).parent / "typing" / "api.py").read_text())
    used = {node.attr for node in ast.walk(compiled) if isinstance(node, ast.Attribute)}
    public_modules = [public_module for public_module in PUBLIC_MODULES if public_module != "aioecs.testing"]
    methods = {
        name
        for public_module in public_modules
        for kind in ("Client", "Batch", "CancelToken")
        if kind in names(public_module)
        for name in dir(getattr(module(public_module), kind))
        if not name.startswith("_") and f"{kind}.{name}" not in INSIDE
    }
    assert {name for public_module in public_modules for name in names(public_module)} | methods <= used
