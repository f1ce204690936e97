"""The cipher of BrowseComp's files: text that a crawler of training data shall not read by accident.

The key is the SHA-256 of a canary string that stands beside the text, repeated to its length; text and key are combined
by exclusive or, the result is written in base64. It keeps a benchmark out of training corpora and no secret: whoever
has the file has the key. Nothing in it tells a wrong canary, so :func:`unseal` judges by what comes out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import unicodedata
from itertools import cycle, islice

from sindbad.errors import Corrupt, InvalidInput

WRONG_CANARY = "WRONG_CANARY"
"""Reason of the error where what comes out is no text."""
_STRAY = 0.02
"""Share of control characters that a text may have beside blanks and ends of lines (U+0085 and U+000B are some): texts
copied off the web hold one here and there, and every fourth character that a wrong key makes is one."""


def seal(text: str, canary: str) -> str:
    """``text`` as base64. Raises InvalidInput for an empty canary."""
    return base64.b64encode(_combined(text.encode("utf-8"), canary)).decode("ascii")


def unseal(sealed: str, canary: str) -> str:
    """Inverse of :func:`seal`.

    Raises:
        Corrupt: ``sealed`` is no base64 (a torn file), or, with reason WRONG_CANARY, decrypts to no text.
    """
    try:
        data = base64.b64decode(sealed.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Corrupt(f"an encrypted field is no base64 ({error}); is the file torn?") from error
    try:
        text = _combined(data, canary).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Corrupt("the canary does not fit: what it decrypts is no text", reason=WRONG_CANARY) from error
    strange = sum(unicodedata.category(character) == "Cc" and not character.isspace() for character in text)
    if strange > _STRAY * len(text):
        raise Corrupt("the canary does not fit: what it decrypts has control characters", reason=WRONG_CANARY)
    return text


def _combined(data: bytes, canary: str) -> bytes:
    if not canary:
        raise InvalidInput("the canary is empty; it is the key of the encrypted text")
    key = hashlib.sha256(canary.encode("utf-8")).digest()
    return bytes(left ^ right for left, right in zip(data, islice(cycle(key), len(data)), strict=True))


class CanarySeal:
    """Keeps records of protected questions unreadable on disk; the canary stands beside them, as in the benchmark."""

    def __init__(self, canary: str) -> None:
        self.canary = canary

    def close(self, text: str) -> str:
        """The text as it may lie on a disk."""
        return seal(text, self.canary)

    def open(self, sealed: str) -> str:
        """Inverse of :meth:`close`. Raises Corrupt."""
        return unseal(sealed, self.canary)
