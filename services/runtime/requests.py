"""What messages of several services have in common, checked: enumerations with a default, and who asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sindbad.clients.search_status import PURPOSES
from sindbad.errors import InvalidInput
from sindbad.tools.environment import Caller, Purpose

_MOST_CHARACTERS = 200


def chosen(value: int, known: Mapping[Any, int], default: Any, name: str) -> Any:
    """The member of ``known`` (ours -> the wire's) that the wire names; ``default`` for 0.

    Raises InvalidInput for a number that the contract does not have.
    """
    if value == 0:
        return default
    for member, number in known.items():
        if number == value:
            return member
    raise InvalidInput(f"{name} has the unknown value {value}; see sindbad/v1/common.proto")


def caller_of(message: Any) -> Caller:
    """Who asks. Raises InvalidInput for names without end."""
    if len(message.run) > _MOST_CHARACTERS or len(message.episode) > _MOST_CHARACTERS:
        raise InvalidInput(f"a caller's run and episode are at most {_MOST_CHARACTERS} characters long")
    return Caller(message.run, chosen(message.purpose, PURPOSES, Purpose.TRAINING, "purpose"), message.episode)
