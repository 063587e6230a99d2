"""benchmarks.fuzz, in a short form with fixed seeds: what others wrote is read alike, or refused as documented."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aioecs._transport.native.connection import Response
from aioecs._transport.transport import ALL_OPERATIONS
from benchmarks.fuzz import (
    TRIES,
    Run,
    fuzz,
    fuzz_answers,
    make_request,
    read_twice,
    throw_answer,
)
from benchmarks.mutants import Dice


async def test_mutated_answers_are_read_alike_on_both_transports() -> None:
    """Over loopback, each with msgspec and without: four readings say the same, and raise nothing."""
    run = Run(seed=1, cases=200)
    await fuzz_answers(run)
    assert run.done == 200


def test_mutated_answers_are_read_alike_with_msgspec_and_without() -> None:
    """More of them, without a network between."""
    for seed in range(100_000, 101_000):
        dice = Dice(seed)
        operation = dice.choice(ALL_OPERATIONS)
        status, _, body = throw_answer(dice, operation)
        read_twice(operation, make_request(operation), Response(status, (), body))


@pytest.mark.parametrize("attempt", TRIES.values(), ids=TRIES)
def test_what_others_wrote_is_read_or_refused(attempt: Callable[[Dice], None]) -> None:
    """Events, requests, ARNs and fault scripts that are nearly right."""
    run = Run(seed=1, cases=500)
    fuzz(attempt, run)
    assert run.done == 500
