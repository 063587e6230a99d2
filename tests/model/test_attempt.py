"""attempt: the four results of one attempt."""

from __future__ import annotations

from typing import get_args, get_origin

import attrs
import pytest

from aioecs._model.attempt import Answered, Attempt, Lost, NotSent, Rejected
from aioecs.errors import AnswerLost, ClientException, ConnectionFailed


def test_there_are_four_results() -> None:
    """An attempt is answered, rejected, not sent or lost: there is no fifth, so a match over these is whole."""
    kinds = {get_origin(kind) or kind for kind in get_args(Attempt)}
    assert kinds == {Answered, Rejected, NotSent, Lost}


@pytest.mark.parametrize(
    ("kind", "error"),
    [(Rejected, ClientException("no")), (NotSent, ConnectionFailed("refused")), (Lost, AnswerLost("reset"))],
)
def test_all_but_an_answer_carry_an_error(kind: type, error: Exception) -> None:
    """What is no answer says why, as an error that can be raised, and can't be changed."""
    attempt = kind(error)
    assert attempt.error is error
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        attempt.error = None


def test_an_answer_carries_the_request_id() -> None:
    """The id that AWS support asks for goes along where there is one."""
    assert (Answered("answer", "r-1").answer, Answered("answer", "r-1").request_id) == ("answer", "r-1")
    assert Answered("answer").request_id is None
