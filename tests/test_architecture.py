"""The house: who may import whom, decisions without I/O, and nobody else's private names."""

from __future__ import annotations

import ast
import itertools
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import aioecs

HOUSE = Path(aioecs.__file__).parent
FILES = sorted(HOUSE.rglob("*.py"))
GUARDED = HOUSE / "_wire" / "guarded.py"
STDLIB = sys.stdlib_module_names

# What a room may import at run time, beside itself and the standard library. Imports point down only, and `_plan` and
# `_wire` never meet; "" is the front door.
MAY: dict[str, set[str]] = {
    "": {"aioecs._model", "aioecs._plan", "aioecs._run", "aioecs.errors"},  # of _plan: decisions that callers make too
    "errors": set(),
    "_model": {"aioecs.errors", "attrs"},
    "_plan": {"aioecs._model", "aioecs.errors", "attrs"},
    "_wire": {
        "aioecs._model",
        "aioecs.errors",
        "attrs",
        "aiobotocore",
        "aiohappyeyeballs",
        "aiohttp",  # what the plain way sends through
        "botocore",
        "httptools",
        "msgspec",  # where it is installed
    },
    "_run": {"aioecs._model", "aioecs._plan", "aioecs._wire", "aioecs.errors", "anyio", "attrs"},
    # A listener like any other.
    "otel": {"aioecs", "attrs", "opentelemetry"},
    # A caller like any other, on a loop in the background.
    "sync": {"aioecs", "aioecs._blocking", "anyio"},
    "_background": {"aioecs.errors", "anyio"},
    # An independent witness: it shares nothing with the client that it watches.
    "testing": {"aiohttp", "anyio", "attrs"},
    # Fixtures: a caller of the client and of its witness.
    "testing.plugin": {"aioecs", "aioecs.testing", "pytest", "pytest_asyncio"},
    # A caller like any other; an AioConfig is what the public Client takes.
    "cli": {
        "aioecs",
        "aioecs._model",
        "aioecs.errors",
        "aioecs.testing",
        "aiobotocore",
        "anyio",
        "attrs",
        "rich",
        "typer",
    },
    # The command line, under the package's own name.
    "__main__": {"aioecs.cli"},
    # It watches scopes as the client does, and speaks to SQS and DynamoDB by what they ship.
    "worker": {"aioecs", "aioecs._model", "aioecs._run", "aioecs.errors", "aiobotocore", "anyio", "attrs", "botocore"},
}
# What a room may import beyond that for type checkers alone.
MAY_FOR_TYPES: dict[str, set[str]] = {"errors": {"aioecs._model"}}

# Where decisions are made there is no clock, no dice and no I/O: these come in with what happened.
PURE = ("_model", "_plan")
IMPURE = {"asyncio", "logging", "os", "random", "secrets", "selectors", "socket", "ssl", "threading", "time"}


parsed = cache(ast.parse)


def room_of(path: Path) -> str:
    """Name the room that a file is in: a package of the house, or a module that stands alone."""
    if path == HOUSE / "testing" / "plugin.py":
        return "testing.plugin"  # it stands apart from the witness, and brings it together with the client
    first = path.relative_to(HOUSE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def belongs_to(module: str) -> str:
    """Name what an imported module is part of: a room of the house, or a distribution."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "aioecs" else parts[0]


def imports(tree: ast.AST, *, for_types: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield each imported module, and whether only type checkers see it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, for_types) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            # `from aioecs import errors` is an import of a room, not of the front door.
            within = [
                f"aioecs.{a.name}" for a in node.names if (HOUSE / a.name).exists() or (HOUSE / f"{a.name}.py").exists()
            ]
            yield from ((name, for_types) for name in (within if module == "aioecs" and within else [module]))
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from imports(ast.Module(node.body, []), for_types=True)
            yield from imports(ast.Module(node.orelse, []), for_types=for_types)
        else:
            yield from imports(node, for_types=for_types)


def broken_imports(room: str, source: str) -> list[str]:
    """List the imports that a file of this room may not make."""
    own = f"aioecs.{room}" if room else "aioecs"
    broken: list[str] = []
    for module, for_types in imports(parsed(source)):
        part = belongs_to(module)
        allowed = MAY[room] | (MAY_FOR_TYPES.get(room, set()) if for_types else set()) | {own}
        if part not in allowed and part not in STDLIB:
            broken.append(module)
    return broken


def impure(source: str) -> list[str]:
    """List what a decision may not do: await, look at a clock, roll dice, do I/O."""
    tree = parsed(source)
    awaits = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    found = [type(node).__name__ for node in ast.walk(tree) if isinstance(node, awaits)]
    found += [module for module, _ in imports(tree) if belongs_to(module) in IMPURE]
    clocks = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return found + [name for name in clocks if name in {"datetime.now", "datetime.utcnow", "date.today"}]


PUBLIC_ALL_THE_SAME = {"os._exit"}  # documented, in spite of its name


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def defined_in(tree: ast.AST) -> set[str]:
    """Collect the private names that a file makes itself."""
    made: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            made.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            made.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if ast.unparse(node.value) in ("self", "cls"):
                made.add(node.attr)
        elif isinstance(node, ast.arg):
            made.add(node.arg)
    return made


@cache
def made_in(room: str) -> frozenset[str]:
    """Collect the names that the files of a room make."""
    sources = [path.read_text() for path in FILES if room_of(path) == room]
    return frozenset[str]().union(*(defined_in(parsed(source)) for source in sources))


def strangers(source: str, inherited: frozenset[str] = frozenset()) -> list[str]:
    """List the private names that a file uses and doesn't make: those of anyio, asyncio, botocore and the like.

    `inherited` are names that its classes may have on themselves from others of their room.
    """
    tree = parsed(source)
    own = defined_in(tree)
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own:
            known = node.attr in inherited and ast.unparse(node.value) == "self"
            if not known and ast.unparse(node) not in PUBLIC_ALL_THE_SAME:
                found.append(ast.unparse(node))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "setattr", "hasattr", "delattr"):
            named = node.args[1] if len(node.args) > 1 else None
            if isinstance(named, ast.Constant) and is_private(str(named.value)):
                found.append(ast.unparse(node))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None) or ""
            names = [f"{module}.{alias.name}".lstrip(".") for alias in node.names]
            found += [
                name for name in names if not name.startswith("aioecs.") and any(map(is_private, name.split(".")))
            ]
    return found


TESTS = Path(__file__).parent
# What does something and yet has no test module of its own name, and why.
TESTED_ELSEWHERE = {
    "cli/__init__.py": "the script's way in, which test_cli_app.py takes with all that is behind it",
}


def its_tests(path: Path) -> str:
    """Name the test module of a file: after its room and itself, without what marks them as private."""
    parts = [part.strip("_") for part in path.relative_to(HOUSE).with_suffix("").parts]
    return "_".join(["test", *(part for part in parts if part != "init")]) + ".py"


def does_something(source: str) -> bool:
    """Tell whether a file defines a function or a method that has a body; values and protocols have none."""
    functions = (node for node in ast.walk(parsed(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    statements = itertools.chain.from_iterable(function.body for function in functions)
    return not all(isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant) for each in statements)


each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))


@each_file
def test_imports_point_down(path: Path) -> None:
    """A file imports what its room may, and a room without a rule gets one before it is built."""
    room = room_of(path)
    assert room in MAY, f"aioecs/{room} has no rule in this house: add one"
    assert broken_imports(room, path.read_text()) == []


@each_file
def test_each_module_has_its_test_module(path: Path) -> None:
    """What does something is covered by itself, where it will be looked for; values are covered by what uses them."""
    name = str(path.relative_to(HOUSE))
    missing = does_something(path.read_text()) and not (TESTS / its_tests(path)).exists()
    assert missing == (name in TESTED_ELSEWHERE), f"write tests/{its_tests(path)}, or mend TESTED_ELSEWHERE"


@pytest.mark.parametrize("path", [path for path in FILES if room_of(path) in PURE], ids=lambda path: path.name)
def test_decisions_are_pure(path: Path) -> None:
    """Values and decisions await nothing, look at no clock and roll no dice."""
    assert impure(path.read_text()) == []


@each_file
def test_private_means_private(path: Path) -> None:
    """No file uses a private name that isn't its own, or its room's by inheritance; one names what it guards."""
    if path == GUARDED:
        pytest.skip("here stands what isn't public, under tests of its own")
    assert strangers(path.read_text(), made_in(room_of(path))) == []


@pytest.mark.parametrize(
    "name",
    [
        *("rich", "typer", "aioecs.testing", "aioecs.cli", "aioecs.otel", "opentelemetry", "moto", "boto3"),
        *("aiobotocore", "aiohttp", "botocore"),
    ],
)
def test_importing_the_client_is_light(name: str, loaded: set[str]) -> None:
    """Importing it pulls in neither the command line, nor the test server, nor what an open client needs."""
    assert not any(module == name or module.startswith(f"{name}.") for module in loaded)


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """Tell what a process has loaded that imported aioecs and nothing else."""
    code = "import sys, aioecs; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


def test_the_package_itself_is_loaded(loaded: set[str]) -> None:
    """The look at what is loaded sees something."""
    assert {"aioecs", "aioecs._client.client", "anyio"} <= loaded


# ------------------------------------------------------------------------------------------- the rules can be broken


@pytest.mark.parametrize(
    ("room", "source", "broken"),
    [
        ("errors", "from aioecs._model.shapes.task import Task", ["aioecs._model.shapes.task"]),
        (
            "errors",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from aioecs._model.shapes.task import Task",
            [],
        ),
        ("errors", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import aioecs._plan", ["aioecs._plan"]),
        ("_model", "from aioecs._logic.calls.actions import Send", ["aioecs._logic.calls.actions"]),
        ("_model", "if True:\n    from aioecs._wire import port", ["aioecs._wire"]),
        ("_plan", "from aioecs._transport.transport import Port", ["aioecs._transport.transport"]),
        ("_plan", "def late():\n    import anyio", ["anyio"]),
        ("_plan", "from aioecs import _wire", ["aioecs._wire"]),
        ("_plan", "from aioecs import errors", []),
        ("_wire", "from aioecs._plan import token", ["aioecs._plan"]),
        ("_wire", "import botocore.session, aiohttp.payload, aiobotocore", []),
        ("_run", "import aiobotocore.session", ["aiobotocore.session"]),
        ("_run", "from aioecs.testing import LocalECS", ["aioecs.testing"]),
        ("_run", "from aioecs import Client", ["aioecs"]),
        ("testing", "from aioecs._model import Task", ["aioecs._model"]),
        ("testing", "from aioecs import errors", ["aioecs.errors"]),
        ("testing", "import pytest", ["pytest"]),
        ("testing.plugin", "from aioecs import Client\nfrom aioecs.testing import Fault", []),
        ("testing.plugin", "from aioecs._client.client import Client", ["aioecs._client.client"]),
        ("cli", "from aioecs._client.client import Client", ["aioecs._client.client"]),
        ("cli", "from aioecs import Client", []),
        ("", "import rich", ["rich"]),
    ],
)
def test_a_forbidden_import_is_found(room: str, source: str, broken: list[str]) -> None:
    """Wherever it stands in the file."""
    assert broken_imports(room, source) == broken


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("async def send(): ...", ["AsyncFunctionDef"]),
        ("import time\nnow = time.monotonic()", ["time"]),
        ("from random import random", ["random"]),
        ("from datetime import datetime\nnow = datetime.now()", ["datetime.now"]),
        ("from datetime import UTC, datetime\nlast = datetime.max.replace(tzinfo=UTC)", []),
    ],
)
def test_an_impure_decision_is_found(source: str, found: list[str]) -> None:
    """A decision that awaits, or helps itself to time or chance."""
    assert impure(source) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("scope._deadline", ["scope._deadline"]),
        ("class Body(Payload):\n    def size(self): return self._value", ["self._value"]),
        ("class Own:\n    def __init__(self): self._x = 1\n    def x(self): return self._x", []),
        ("class Own:\n    def _x(self): ...\n    def x(self, other): return other._x()", []),
        ("os._exit(1)", []),
        ("task._state = 1", ["task._state"]),
        ("getattr(config, '_user_provided_options')", ["getattr(config, '_user_provided_options')"]),
        ("from aiohttp._websocket import reader", ["aiohttp._websocket.reader"]),
        ("from asyncio import _get_running_loop", ["asyncio._get_running_loop"]),
        ("import anyio._core", ["anyio._core"]),
        ("from aioecs._model import arn", []),
        ("from __future__ import annotations\nx.__dict__", []),
    ],
)
def test_a_foreign_private_name_is_found(source: str, found: list[str]) -> None:
    """An attribute, one asked for by its name, or an import."""
    assert strangers(source) == found


@pytest.mark.parametrize(
    ("source", "does"),
    [
        ("def start(): return 1", True),
        ("class Call:\n    async def begin(self):\n        self.x = 1", True),
        ('class Port(Protocol):\n    def attempt(self):\n        """Send it."""\n        ...', False),
        ("@overload\ndef start(x: int) -> int: ...", False),
        ('"""Values."""\nimport attrs\nLIMIT = 10\n@attrs.frozen\nclass Send:\n    at: float = 0.0', False),
        ("def outer():\n    def inner(): ...", True),
    ],
)
def test_what_does_something_is_told_from_what_declares(source: str, does: bool) -> None:
    """A body that is more than its docstring, wherever it stands."""
    assert does_something(source) is does


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("_run/client.py", "test_run_client.py"),
        ("_model/_shape.py", "test_model_shape.py"),
        ("_background.py", "test_background.py"),
        ("worker/_sqlite.py", "test_worker_sqlite.py"),
        ("testing/__init__.py", "test_testing.py"),
    ],
)
def test_a_test_module_is_named_after_its_module(path: str, name: str) -> None:
    """By its room and by itself."""
    assert its_tests(HOUSE / path) == name


def test_an_inherited_name_is_one_s_own_only_on_oneself() -> None:
    """What a class has from another file of its room, it may use on itself, and on nobody else."""
    assert strangers("self._world", frozenset({"_world"})) == []
    assert strangers("other._world", frozenset({"_world"})) == ["other._world"]
