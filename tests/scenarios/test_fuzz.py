"""benchmarks.fuzz, with few cases and fixed seeds: foreign input is read alike, or refused as documented."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aioecs._transport.native.connection import Response
from aioecs._transport.transport import ALL_OPERATIONS
from benchmarks.fuzz import (
    FUZZERS,
    Run,
    fuzz,
    fuzz_answers,
    make_request,
    random_answer,
    read_twice,
)
from benchmarks.mutator import Mutator


async def test_mutated_answers_are_read_alike_on_both_transports() -> None:
    """Over loopback, with msgspec and without: the four readings agree, and raise nothing."""
    run = Run(seed=1, cases=200)
    await fuzz_answers(run)
    assert run.done == 200


def test_mutated_answers_are_read_alike_with_msgspec_and_without() -> None:
    """More cases, without a network."""
    for seed in range(100_000, 101_000):
        mutator = Mutator(seed)
        operation = mutator.choice(ALL_OPERATIONS)
        status, _, body = random_answer(mutator, operation)
        read_twice(operation, make_request(operation), Response(status, (), body))


@pytest.mark.parametrize("attempt", FUZZERS.values(), ids=FUZZERS)
def test_foreign_input_is_read_or_refused(attempt: Callable[[Mutator], None]) -> None:
    """Events, requests, ARNs and fault scripts that are almost valid."""
    run = Run(seed=1, cases=500)
    fuzz(attempt, run)
    assert run.done == 500
