"""Throws mutated input at everything that reads what others wrote, for as long as asked.

    python -m benchmarks.fuzz --seconds 3600 --seed 7

Answers go over loopback to both transports, and each is read with and without msgspec: all four must say the same, and
nothing may be raised that isn't in the error tree. Events, requests, ARNs and fault scripts must be read, or refused
with the error that is documented. What fails is told with the seed that makes it again; the status is then 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
import warnings
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count
from typing import Any

import attrs
from aiobotocore.session import AioSession

from aioecs._model import arn, limits
from aioecs._model.attempt import Answered, Lost
from aioecs._model.codec.plain import members
from aioecs._model.codec.shape import Shape
from aioecs._model.task_event import read_event
from aioecs._transport import body_reader
from aioecs._transport.answers import read_response
from aioecs._transport.connect import connected
from aioecs._transport.native.connection import Response
from aioecs._transport.native.encoding import body_of
from aioecs._transport.settings import Settings
from aioecs._transport.transport import EVERY, Operation, SentMarker
from aioecs.errors import AnswerLost, ECSServiceError, InvalidRequest
from aioecs.testing import faults_from_script
from benchmarks.mutants import Dice

SESSION = AioSession()
STATUSES = (*([200] * 12), 201, 202, 204, 300, 302, 304, 400, 400, 400, 403, 404, 429, 500, 502, 503)
NAMED = {"ListTasks": "taskArns", "ListContainerInstances": "containerInstanceArns"}
INSTANCE = "arn:aws:ecs:us-east-1:123456789012:container-instance/demo/0a1b"
TASK = "arn:aws:ecs:us-east-1:123456789012:task/demo/5c6d"
CODES = ("ClientException", "ServerException", "ThrottlingException", "ns#Unheard", "Odd:http://x/", "", "\x7f", "500")


class Differs(AssertionError):
    """Two readings of one answer are not the same."""


# ------------------------------------------------------------------------------------------------------------ answers


def read_whole(held: Any) -> Any:
    """Read each member of a value, and of those in it; none of it may raise."""
    if isinstance(held, Shape):
        names = [each.name for each in members(type(held))]
        return {name: read_whole(getattr(held, name)) for name in (*names, "extra")}
    if isinstance(held, (list, tuple)):
        return [read_whole(one) for one in held]
    return repr(held) if not isinstance(held, dict) else {name: read_whole(one) for name, one in held.items()}


def word(what: Any) -> Any:
    """Return what an attempt says, so that equal words say the same; a lost answer says that it is, whatever of."""
    if isinstance(what, Answered):
        return "answered", what.request_id, read_whole(what.answer)
    if isinstance(what, Lost) and isinstance(what.error, AnswerLost):
        return ("lost",)
    if not isinstance(what.error, ECSServiceError):
        raise Differs(f"{type(what).__name__} of {type(what.error).__name__}: {what.error}")
    return type(what).__name__, type(what.error).__name__, str(what.error), vars(what.error)


@attrs.define
class Server:
    """Answers each request on loopback with what it was told to."""

    answer: bytes = b""
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection, until the other side closes it."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = re.search(rb"(?i)content-length: (\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                writer.write(self.answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            writer.close()


@asynccontextmanager
async def four_ways() -> AsyncGenerator[Callable[[Operation[Any], Shape, bytes], Any]]:
    """Open both transports to one server; what is returned sends to both, and reads each answer twice."""
    server = Server()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    keys: dict[str, Any] = {"aws_access_key_id": "a", "aws_secret_access_key": "s", "region_name": "us-east-1"}
    async with AsyncExitStack() as stack:
        ports: list[Any] = []
        for transport in ("auto", "botocore"):
            settings = Settings(**keys, endpoint_url=url, session=SESSION, transport=transport)
            port: Any = (await stack.enter_async_context(connected(settings)))[0]
            port.read = read_twice
            ports.append(port)
        yield partial(_sent, server, ports)
    listener.close()
    await listener.wait_closed()


async def _sent(server: Server, ports: list[Any], operation: Operation[Any], request: Shape, answer: bytes) -> Any:
    server.answer = answer
    words = [word(await port.attempt(operation, request, SentMarker())) for port in ports]
    if words[0] != words[1]:
        raise Differs(f"native says {words[0]!r:.600}, botocore says {words[1]!r:.600}")
    return words[0]


def read_twice(operation: Operation[Any], request: Shape, response: Response) -> Any:
    """Read with msgspec and without."""
    what = read_response(operation, request, response)
    words = word(what), word(read_response(operation, request, response, body_reader.STANDARD))
    if words[0] != words[1]:
        raise Differs(f"with msgspec it is {words[0]!r:.600}, without {words[1]!r:.600}")
    return what


def make_request(operation: Operation[Any]) -> Shape:
    """Make a request that can be sent, and can be told from another's answer."""
    names: dict[str, Any] = {
        "container_instances": [INSTANCE],
        "task_definition": "demo",
        "task": TASK,
        "tasks": [TASK],
    }
    given: dict[str, Any] = {each.name: names[each.name] for each in members(operation.request) if each.name in names}
    if operation.name in ("StartTask", "RunTask"):
        given["started_by"] = "mark"
    return operation.request(**given)


def throw_answer(dice: Dice, operation: Operation[Any]) -> tuple[int, list[bytes], bytes]:
    """Throw an answer's status, headers and body: mostly one of ECS's with something wrong in it."""
    status = dice.choice(STATUSES)
    plain = _own(dice, operation) if status < 400 else _error(dice)
    body = dice.spoilt(plain) if status not in (204, 304) else b""
    lines = [b"x-amzn-RequestId: " + dice.choice((b"1", b"\xe9", b"\xff"))]
    if dice.random() < 0.2:
        lines.append(b"X-Amzn-Errortype: " + dice.choice(CODES[:-2]).encode())
    if dice.random() < 0.1:
        lines.append(b"Date: " + dice.choice((b"Tue, 14 Nov 2023 22:13:20 +999999999999", b"no date", b"\xff")))
    return status, lines, body


def written(status: int, lines: list[bytes], body: bytes) -> bytes:
    """Write an answer as it goes over HTTP."""
    return b"\r\n".join((b"HTTP/1.1 %d Said" % status, *lines, b"Content-Length: %d" % len(body), b"", b"")) + body


def _own(dice: Dice, operation: Operation[Any]) -> dict[str, Any]:
    """Throw an answer of ECS's in its plain form, to the request that `make_request` makes."""
    plain = dice.plain(operation.answer)
    task = {"taskArn": TASK, "containerInstanceArn": INSTANCE, "startedBy": dice.choice(("mark", "mark", "other"))}
    task["taskDefinitionArn"] = "arn:aws:ecs:us-east-1:123456789012:task-definition/demo:1"
    if isinstance(plain.get("tasks"), list):
        plain["tasks"] = [{**each, **task} for each in plain["tasks"][: dice.choice((1, 1, 1, 2))]]
    if isinstance(plain.get("task"), dict):
        plain["task"].update(task)
    for each in plain.get("containerInstances", ()):
        each["containerInstanceArn"] = INSTANCE
    return plain


def _error(dice: Dice) -> dict[str, Any]:
    said = {
        dice.choice(("__type", "code", "Code")): dice.choice(CODES),
        dice.choice(("message", "Message")): dice.text(),
    }
    return said | ({"message": "x" * 5_000_000} if dice.random() < 0.001 else {})


# ------------------------------------------------------------------------------------------------- what is not sent


def try_event(dice: Dice) -> None:
    """Read a mutated event: as a change of a task, whose members are all there, or not at all."""
    task = {"taskArn": TASK, "lastStatus": "RUNNING", "version": dice.choice((1, 10**18)), "clusterArn": "demo"}
    event: Any = {"detail-type": "ECS Task State Change", "account": "123456789012", "detail": task}
    event = {"Body": json.dumps(event)} if dice.random() < 0.3 else event
    written = dice.spoilt(event)
    given: Any = written
    if dice.random() < 0.2:  # as a dict, where it can be one
        given = body_reader.STANDARD.json(written)
    try:
        change = read_event(given)
    except InvalidRequest:
        return
    if change is not None:
        read_whole(change.task())


def try_request(dice: Dice) -> None:
    """Check a request with a member of another kind: it is refused by name, or can be sent."""
    operation = dice.choice(EVERY)
    request = make_request(operation)
    name = dice.choice([*(each.name for each in members(operation.request)), "extra"])
    try:
        request = request.replace(**{name: dice.odd() if dice.random() < 0.7 or name != "extra" else {"a": dice.odd()}})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", limits.RequestWarning)  # which is sent all the same
            limits.check(request)
    except InvalidRequest:
        return
    body_of(request)


def try_arn(dice: Dice) -> None:
    """Read a mutated name: as one, or not at all."""
    given = dice.with_odd_bytes(dice.choice((INSTANCE, TASK, "demo", "0a1b")).encode()).decode("utf-8", "replace")
    for read in (arn.task, arn.instance, arn.cluster_of):
        try:
            read(given, "it")
        except InvalidRequest:
            continue


def try_faults(dice: Dice) -> None:
    """Read a mutated script of faults: as one, or not at all."""
    script = dice.spoilt([{"kind": "reset", "when": "after", "times": 2}]).decode("utf-8", "replace")
    try:
        faults_from_script(script)
    except ValueError:
        return


TRIES: dict[str, Callable[[Dice], None]] = {
    "events": try_event,
    "requests": try_request,
    "ARNs": try_arn,
    "fault scripts": try_faults,
}


# ---------------------------------------------------------------------------------------------------------- the runs


@attrs.define
class Run:
    """How long one fuzzer runs, and what it has come to: each case has a seed of its own."""

    seed: int
    cases: int | None = None
    until: float = float("inf")
    done: int = 0

    def seeds(self) -> Any:
        """Yield seeds until it is enough."""
        for number in count():
            if (self.cases is not None and number >= self.cases) or time.monotonic() >= self.until:
                return
            self.done = number + 1
            yield self.seed + number


async def fuzz_answers(run: Run, operations: tuple[Operation[Any], ...] = EVERY) -> None:
    """Send mutated answers to both transports, and read each with and without msgspec."""
    async with four_ways() as send:
        for seed in run.seeds():
            dice = Dice(seed)
            operation = dice.choice(operations)
            request = make_request(operation)
            answer = written(*throw_answer(dice, operation))
            try:
                await send(operation, request, answer)
            except Exception as error:
                error.add_note(f"seed {seed}, {operation.name}: {answer[:1_000]!r}")
                raise


def fuzz(attempt: Callable[[Dice], None], run: Run) -> None:
    """Try one kind of input again and again."""
    for seed in run.seeds():
        try:
            attempt(Dice(seed))
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise


async def main(options: argparse.Namespace) -> int:
    """Run all fuzzers, one after the other; each has its share of the time."""
    share, failed = options.seconds / (len(TRIES) + 4), 0
    kinds: dict[str, Any] = {
        "answers": fuzz_answers,
        **{name: partial(fuzz, attempt) for name, attempt in TRIES.items()},
    }
    for name, fuzzer in kinds.items():
        run = Run(options.seed, until=time.monotonic() + share * (4 if name == "answers" else 1))
        try:
            if (going := fuzzer(run)) is not None:
                await going
        except Exception as error:  # noqa: BLE001 told, and the others are run all the same
            failed = 1
            print(f"{name}: case {run.done} failed: {error!r:.2000}", *getattr(error, "__notes__", ()), sep="\n  ")
        else:
            print(f"{name}: {run.done} cases, all read alike or refused as documented")
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="for how long, in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a few seconds, as proof that it runs")
    given = parser.parse_args()
    given.seconds = 8.0 if given.quick else given.seconds
    sys.exit(asyncio.run(main(given)))
