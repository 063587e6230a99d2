"""token: our identity of a call."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aioecs import StartTaskRequest, StopTaskRequest
from aioecs._logic.calls import token
from aioecs._model import limits
from aioecs._model.checks import table

LOOKUPS = re.compile(r"aioecs-[A-Za-z0-9_-]{29}", re.ASCII)
KEYS = st.text(st.characters(), min_size=1)  # every code point, lone surrogates among them


def accepted(made: str) -> bool:
    """Return whether a request may bear it as its `startedBy`."""
    limits.check(StartTaskRequest(task_definition="demo", container_instances=["a"], started_by=made))
    return True


@given(st.binary(min_size=token.ENTROPY, max_size=token.ENTROPY))
def test_fresh_tokens(chance: bytes) -> None:
    """A fresh token has 36 characters of ECS's alphabet, and the same bytes give the same one."""
    made = token.fresh(chance)
    assert len(made) == token.LENGTH == table.STARTED_BY
    assert LOOKUPS.fullmatch(made)
    assert accepted(made)
    assert token.fresh(chance) == made


@pytest.mark.parametrize("size", [0, 1, 21, token.ENTROPY - 1])
def test_a_fresh_token_needs_its_entropy(size: int) -> None:
    """Fewer bytes would make a token that is short, padded, or guessable."""
    with pytest.raises(ValueError, match=f"{token.ENTROPY} random bytes, not of {size}"):
        token.fresh(bytes(size))


def test_every_character_of_a_fresh_token_depends_on_chance() -> None:
    """Two tokens differ wherever their bytes do, within the 174 bits that fit."""
    zeros = token.fresh(bytes(token.ENTROPY))
    for bit in range(174):
        other = token.fresh((1 << (token.ENTROPY * 8 - 1 - bit)).to_bytes(token.ENTROPY, "big"))
        assert sum(a != b for a, b in zip(zeros, other, strict=True)) == 1


@given(KEYS)
@example("a" * 100_000)
@example("ключ/鍵/🔑 with spaces\n\0")
@example("\ud800 alone")
@example("\udfff")
def test_derived_tokens(key: str) -> None:
    """A key of any length and of any characters gives a token that ECS takes, and always the same."""
    made = token.derived(key)
    assert LOOKUPS.fullmatch(made)
    assert accepted(made)
    assert token.derived(key) == made


@given(KEYS, KEYS)
def test_different_keys_have_different_tokens(one: str, other: str) -> None:
    """Equal tokens mean equal keys."""
    assert (token.derived(one) == token.derived(other)) is (one == other)


def test_a_key_has_the_same_token_on_every_machine() -> None:
    """The tokens of keys are part of what users store: they are the same in every version."""
    assert token.derived("order-17") == "aioecs-Kjofj9do1pq2arFOCnGTJ3vM5hBcw"


def test_the_alphabet_is_that_of_the_model() -> None:
    """Letters, digits, hyphens and underscores; the slash, which ECS takes too, would need care in paths."""
    made = {sign for number in range(300) for sign in token.derived(str(number))}
    assert made == set(string.ascii_letters + string.digits + "-_")


def test_the_reason_of_our_stops() -> None:
    """A stop of ours names the token, as a reason that StopTask takes."""
    made = token.fresh(bytes(token.ENTROPY))
    reason = token.stop_reason(made)
    assert reason == f"aioecs:withdrawn:{made}"
    limits.check(StopTaskRequest(task="arn", reason=reason))
