"""The architecture: which package imports which, decisions without I/O, module sizes, and a mirrored test tree."""

from __future__ import annotations

import ast
import itertools
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TypeVar

import pytest

import aioecs

PACKAGE = Path(aioecs.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
TESTS = Path(__file__).parent
INTERNALS = PACKAGE / "_transport" / "botocore" / "botocore_internals.py"
STDLIB = sys.stdlib_module_names

# The layers of the client, from top to bottom. A package imports those below its own line only: two packages of one
# line never import each other.
LAYERS = (
    ("_client",),
    ("_batch", "_waiters"),
    ("_calls",),
    ("_runtime",),
    ("_logic", "_transport"),
    ("_model",),
    ("errors",),
)
# The distributions that a layer may import, beside the standard library and attrs.
DISTRIBUTIONS: dict[str, set[str]] = {
    "_client": {"anyio"},
    "_batch": {"anyio"},
    "_waiters": {"anyio"},
    "_calls": {"anyio"},
    "_runtime": {"anyio"},
    "_logic": set(),
    "_transport": {"aiobotocore", "aiohappyeyeballs", "aiohttp", "botocore", "httptools", "msgspec"},
    "_model": set(),
    "errors": set(),
}


def below(layer: str) -> set[str]:
    """Return what a package of the client may import: all that is below it."""
    at = next(number for number, names in enumerate(LAYERS) if layer in names)
    return {f"aioecs.{name}" for names in LAYERS[at + 1 :] for name in names} | DISTRIBUTIONS[layer] | {"attrs"}


# What a part may import at run time, beside itself and the standard library; "" is the top level of the package.
MAY: dict[str, set[str]] = {
    **{layer: below(layer) for names in LAYERS for layer in names},
    "": {"aioecs._exports", "aioecs.types"},
    "_exports": {f"aioecs.{name}" for names in (*LAYERS, ("types",)) for name in names},
    "types": {"aioecs._model", "aioecs.errors"},
    "otel": {"aioecs", "aioecs.types", "attrs", "opentelemetry"},  # it receives events as any user's function does
    # It uses the public client, on a loop in a thread.
    "sync": {"aioecs._sync"},
    "_sync": {"aioecs", "aioecs._blocking", "aioecs._interrupts", "aioecs.types", "anyio"},
    "_blocking": {"aioecs.errors", "anyio"},
    "_interrupts": {"aioecs", "aioecs._blocking"},
    # The local ECS shares nothing with the client that is tested against it.
    "testing": {"aiohttp", "anyio", "attrs", "botocore"},  # botocore signs what the fault proxy passes on
    "testing.plugin": {"aioecs", "aioecs.testing", "pytest", "pytest_asyncio"},
    # The command line uses the public client; an AioConfig is what `Client(config=)` takes.
    "cli": {
        "aioecs",
        "aioecs._model",
        "aioecs.conformance",
        "aioecs.errors",
        "aioecs.testing",
        "aioecs.types",
        "aioecs.worker",
        "aiobotocore",
        "anyio",
        "attrs",
        "rich",
        "typer",
    },
    "__main__": {"aioecs.cli"},
    # The checks send single requests with botocore's own client, so that nothing of the library hides what ECS does.
    "conformance": {"aioecs", "aioecs.testing", "aiobotocore", "anyio", "attrs", "botocore"},
    "conformance.__main__": {"aioecs.cli"},
    # The worker watches scopes as the client does, and has clients of its own for SQS and DynamoDB.
    "worker": {
        "aioecs",
        "aioecs._batch",
        "aioecs._client",
        "aioecs._logic",
        "aioecs._model",
        "aioecs._runtime",
        "aioecs._transport",
        "aioecs.errors",
        "aioecs.types",
        "aiobotocore",
        "anyio",
        "attrs",
        "botocore",
    },
}
# What a part may import for type checkers alone.
MAY_FOR_TYPES: dict[str, set[str]] = {"errors": {"aioecs._model"}}

# Where decisions are made there is no clock, no randomness and no I/O: these come in as arguments.
PURE = ("_model", "_logic")
IMPURE = {"asyncio", "logging", "os", "random", "secrets", "selectors", "socket", "ssl", "threading", "time"}

LARGEST_FOLDER = 14
"""Modules in one folder: about a dozen."""
LONGEST_FILE = 350
"""Lines of a module."""


parsed = cache(ast.parse)


@cache
def nodes_of(source: str) -> tuple[ast.AST, ...]:
    """Return all nodes of a source."""
    return tuple(ast.walk(parsed(source)))


@cache
def imports_of(source: str) -> tuple[tuple[str, bool], ...]:
    """Return each imported module, and whether only type checkers see it."""
    return tuple(imports(parsed(source)))


def part_of(path: Path) -> str:
    """Name the part of the package that a file belongs to: a subpackage, or a module at the top level."""
    if path == PACKAGE / "testing" / "plugin.py":
        return "testing.plugin"  # it may import both the local ECS and the client
    if path == PACKAGE / "conformance" / "__main__.py":
        return "conformance.__main__"  # its options are those of the command line, which imports the checks
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def owner_of(module: str) -> str:
    """Name what an imported module is part of: a part of aioecs, or a distribution."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "aioecs" else parts[0]


def imports(tree: ast.AST, *, for_types: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield each imported module, and whether only type checkers see it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.expr):  # imports are statements
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, for_types) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            # `from aioecs import errors` imports that part, not the top level.
            within = [
                f"aioecs.{a.name}"
                for a in node.names
                if (PACKAGE / a.name).exists() or (PACKAGE / f"{a.name}.py").exists()
            ]
            yield from ((name, for_types) for name in (within if module == "aioecs" and within else [module]))
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from imports(ast.Module(node.body, []), for_types=True)
            yield from imports(ast.Module(node.orelse, []), for_types=for_types)
        else:
            yield from imports(node, for_types=for_types)


def broken_imports(part: str, source: str) -> list[str]:
    """List the imports that a file of this part may not make."""
    own = f"aioecs.{part}" if part else "aioecs"
    broken: list[str] = []
    for module, for_types in imports_of(source):
        owner = owner_of(module)
        allowed = MAY[part] | (MAY_FOR_TYPES.get(part, set()) if for_types else set()) | {own}
        if owner not in allowed and owner not in STDLIB:
            broken.append(module)
    return broken


def impure(source: str) -> list[str]:
    """List what a decision may not do: await, read a clock, use randomness, do I/O."""
    nodes = nodes_of(source)
    awaits = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    found = [type(node).__name__ for node in nodes if isinstance(node, awaits)]
    found += [module for module, _ in imports_of(source) if owner_of(module) in IMPURE]
    clocks = [ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)]
    return found + [name for name in clocks if name in {"datetime.now", "datetime.utcnow", "date.today"}]


PUBLIC_ALL_THE_SAME = {"os._exit"}  # documented, in spite of its name


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


@cache
def defined_in(source: str) -> frozenset[str]:
    """Collect the names that a file makes itself."""
    made: set[str] = set()
    for node in nodes_of(source):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            made.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            made.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if ast.unparse(node.value) in ("self", "cls"):
                made.add(node.attr)
        elif isinstance(node, ast.arg):
            made.add(node.arg)
    return frozenset(made)


@cache
def made_in(part: str) -> frozenset[str]:
    """Collect the names that the files of a part define."""
    sources = [path.read_text() for path in FILES if part_of(path) == part]
    return frozenset[str]().union(*map(defined_in, sources))


def strangers(source: str, inherited: frozenset[str] = frozenset()) -> list[str]:
    """List the private names that a file uses and doesn't make: those of anyio, asyncio, botocore and the like.

    `inherited` are names that its classes may have on themselves from others of their part.
    """
    own = defined_in(source)
    found: list[str] = []
    for node in nodes_of(source):
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


# What does something and yet has no test module of its own name, and why.
TESTED_ELSEWHERE = {
    "_interrupts.py": "what a Ctrl-C leaves of a blocking call, which tests/sync/test_sync.py tests",
    "__init__.py": "tests/model/test_public_names.py tests its names, and when they are imported",
    "cli/__init__.py": "the script's entry point, which tests/cli/test_app.py runs with all that is behind it",
    **{
        f"errors/{name}.py": "one tree in several modules, which tests/test_errors.py tests as a whole"
        for name in ("__init__", "_base", "_service", "_start", "_wait")
    },
    **dict.fromkeys(
        [f"_model/checks/{name}.py" for name in ("places", "rules", "table", "violations")],
        "tests/model/test_limits.py tests the check of a request as a whole: each limit at its edge",
    ),
    "_model/codec/hidden_slots.py": "tests/model/codec/test_lazy.py and tests/model/checks/test_request_json.py do",
    "_model/codec/nothing.py": "tests/model/codec/test_shape.py tests it as the `extra` of a shape",
}


def its_tests(path: Path) -> str:
    """Name the test module of a file, below `tests`: the same folders and name, without leading underscores."""
    parts = [part.strip("_") for part in path.relative_to(PACKAGE).with_suffix("").parts]
    if parts[-1] == "init":
        parts[-1] = "package"
    return "/".join([*parts[:-1], f"test_{parts[-1]}.py"])


def does_something(source: str) -> bool:
    """Return whether a file defines a function or a method that has a body; values and protocols have none."""
    functions = (node for node in nodes_of(source) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    statements = itertools.chain.from_iterable(function.body for function in functions)
    return not all(isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant) for each in statements)


T = TypeVar("T")


def by_file(finds: Callable[[Path], T], paths: Iterable[Path] = FILES) -> dict[str, T]:
    """Return what is found in each file in which something is."""
    found = {str(path.relative_to(PACKAGE)): finds(path) for path in paths}
    return {name: what for name, what in found.items() if what}


def test_imports_point_down() -> None:
    """A file imports only what is below it; a new part gets a rule before its first module."""
    without = {part_of(path) for path in FILES} - MAY.keys()
    assert not without, "add a rule to MAY"
    assert by_file(lambda path: broken_imports(part_of(path), path.read_text())) == {}


def module_of(path: Path) -> str:
    """Name the module that a file is."""
    parts = ["aioecs", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def runtime_graph() -> dict[str, set[str]]:
    """Return which module of aioecs imports which at run time, imports inside functions included."""
    modules = {module_of(path): path for path in FILES}
    graph: dict[str, set[str]] = {}
    for name, path in modules.items():
        graph[name] = set()
        for node in nodes_of(path.read_text()):
            if isinstance(node, ast.ImportFrom) and node.module:
                within = [f"{node.module}.{alias.name}" for alias in node.names]
                graph[name] |= {each if each in modules else node.module for each in within} & set(modules)
        for_types = {module for module, typed in imports_of(path.read_text()) if typed}
        graph[name] -= for_types | {name}
    return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other, directly or through others."""
    reach: dict[str, set[str]] = {name: set(targets) for name, targets in graph.items()}
    grown = True
    while grown:
        grown = False
        for targets in reach.values():
            more = set[str]().union(*(reach[each] for each in targets)) - targets
            targets.update(more)
            grown = grown or bool(more)
    found = {tuple(sorted(one for one in reach[name] if name in reach[one])) for name in graph if name in reach[name]}
    return sorted(list(each) for each in found)


def test_no_import_circles() -> None:
    """No module imports itself through others at run time."""
    assert circles(runtime_graph()) == []


@pytest.mark.parametrize("root", [PACKAGE, TESTS], ids=["aioecs", "tests"])
def test_no_folder_is_crowded(root: Path) -> None:
    """A folder holds about a dozen modules at most, so that a reader can take it in at once."""
    sizes = {
        folder: len([each for each in folder.glob("*.py") if each.name != "__init__.py"]) for folder in folders(root)
    }
    assert {str(folder.relative_to(root)): size for folder, size in sizes.items() if size > LARGEST_FOLDER} == {}


def folders(root: Path) -> list[Path]:
    """List a folder and those below it that hold modules."""
    return sorted({path.parent for path in root.rglob("*.py")})


def lengths_of_functions() -> list[int]:
    """Return the length of every function of the package, in lines, its docstring not counted."""
    lengths: list[int] = []
    for path in FILES:
        for node in nodes_of(path.read_text()):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lengths.append(node.end_lineno - body[0].lineno + 1 if body and node.end_lineno else 1)
    return lengths


def test_functions_are_short() -> None:
    """The median is at most 7 lines, and nine in ten have fewer than 25."""
    lengths = sorted(lengths_of_functions())
    assert statistics.median(lengths) <= 7
    assert lengths[len(lengths) * 9 // 10] < 25


def test_no_file_is_long() -> None:
    """A module of over 350 lines holds more than one thing."""
    lengths = by_file(lambda path: len(path.read_text().splitlines()))
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_each_module_has_its_test_module() -> None:
    """What does something is covered by itself, where it will be looked for; values are covered by what uses them."""
    missing = by_file(lambda path: does_something(path.read_text()) and not (TESTS / its_tests(path)).exists())
    assert missing.keys() - TESTED_ELSEWHERE.keys() == set(), "write their test modules, or mend TESTED_ELSEWHERE"
    assert TESTED_ELSEWHERE.keys() - missing.keys() == set(), "these have a test module, or need none"


def test_decisions_are_pure() -> None:
    """Values and decisions await nothing, read no clock and use no randomness."""
    pure = [path for path in FILES if part_of(path) in PURE]
    assert len(pure) > 50
    assert by_file(lambda path: impure(path.read_text()), pure) == {}


def test_private_means_private() -> None:
    """No file uses a private name that isn't its own, or inherited within its part.

    One file is exempt: it holds all uses of private names, under tests of its own.
    """
    others = [path for path in FILES if path != INTERNALS]
    assert by_file(lambda path: strangers(path.read_text(), made_in(part_of(path))), others) == {}
    assert INTERNALS in FILES


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
    """Return the modules that a process has loaded that uses the client's class and nothing else."""
    code = "import sys, aioecs; aioecs.Client; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


def test_the_package_itself_is_loaded(loaded: set[str]) -> None:
    """The list of what is loaded has the package itself."""
    assert {"aioecs", "aioecs._client.client", "anyio"} <= loaded


# ------------------------------------------------------------------------------------------- the rules can be broken


@pytest.mark.parametrize(
    ("part", "source", "broken"),
    [
        ("errors", "from aioecs._model.shapes.task import Task", ["aioecs._model.shapes.task"]),
        ("errors", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from aioecs._model.arn import short", []),
        ("errors", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import aioecs._logic", ["aioecs._logic"]),
        ("_model", "from aioecs._logic.calls.actions import Send", ["aioecs._logic.calls.actions"]),
        ("_model", "if True:\n    from aioecs._transport import transport", ["aioecs._transport"]),
        ("_logic", "from aioecs._transport.transport import Transport", ["aioecs._transport.transport"]),
        ("_logic", "def late():\n    import anyio", ["anyio"]),
        ("_logic", "from aioecs import _transport", ["aioecs._transport"]),
        ("_logic", "from aioecs import errors", []),
        ("_transport", "from aioecs._logic.calls import token", ["aioecs._logic.calls"]),
        ("_transport", "import botocore.session, aiohttp.payload, aiobotocore", []),
        ("_batch", "from aioecs._waiters.waiter import Waiter", ["aioecs._waiters.waiter"]),
        ("_calls", "from aioecs._batch.engine import Engine", ["aioecs._batch.engine"]),
        ("_runtime", "import aiobotocore.session", ["aiobotocore.session"]),
        ("_client", "from aioecs.testing import LocalECS", ["aioecs.testing"]),
        ("_client", "from aioecs import Client", ["aioecs"]),
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
def test_a_forbidden_import_is_found(part: str, source: str, broken: list[str]) -> None:
    """Wherever it stands in the file."""
    assert broken_imports(part, source) == broken


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
def test_definitions_are_distinguished_from_declarations(source: str, does: bool) -> None:
    """A body that is more than its docstring, wherever it stands."""
    assert does_something(source) is does


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("_client/client.py", "client/test_client.py"),
        ("_model/codec/shape.py", "model/codec/test_shape.py"),
        ("_blocking.py", "test_blocking.py"),
        ("worker/_sqlite.py", "worker/test_sqlite.py"),
        ("testing/__init__.py", "testing/test_package.py"),
    ],
)
def test_a_test_module_is_named_after_its_module(path: str, name: str) -> None:
    """By its folder and by its name."""
    assert its_tests(PACKAGE / path) == name


def test_an_inherited_name_is_one_s_own_only_on_oneself() -> None:
    """A class may use an inherited private name on itself, and on no other object."""
    assert strangers("self._world", frozenset({"_world"})) == []
    assert strangers("other._world", frozenset({"_world"})) == ["other._world"]
