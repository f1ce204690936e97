"""What a translation depends on, and nothing else: its content address.

The key of a record is a hash of its messages, the masker's version, the prompt, the model's revision with its
quantisation, the decoding, the wordings, the content judge, the direction and those glossary terms that occur in it.
Change one and exactly the rows that it touches have new keys. Filters are not part of it: another threshold judges a
translation again, unpaid. Licences are not either: with other ones the plan is made anew, of the same keys, and no row
is paid for. What an address of before did not hold is not in it now: jobs of before stay what they are.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from sindbad.corpus.records import InstructionRecord
from sindbad.translation.glossary import Glossary
from sindbad.translation.prompts import PromptStyle, pair_wording, translation_prompt
from sindbad.translation.spans import MASKER_VERSION

_LATER: Final = ("wordings", "judge", "licences")
"""Fields that an identity of before does not have; empty they change nothing."""
_OWED: Final = ("licence", "licences")
"""Fields that are in no key: what is owed for a translation does not change it."""


class Identity(BaseModel):
    """Who translates, and how: the parts of every key that are equal for a whole job."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    revision: str
    """Names the weights: a manifest's or a commit's hash. Two models must never share one."""
    decoding: str
    """Names temperature, limits, retries and seed."""
    licence: str
    """Licence of the translator, inherited by all that it writes ("cc-by-nc-4.0"); "unknown" is allowed, and shows."""
    licences: tuple[str, ...] = ()
    """Where it is made of parts under several: every one of them, and ``licence`` is the one name for all, which cannot
    say what each of them asks for ("other" is silent of a non-commercial part). Empty: that one licence."""
    quantisation: str = ""
    """"FP8_DYNAMIC", "W8A8"; empty where the weights are as trained."""
    style: PromptStyle = PromptStyle.LIGHT
    """Whose prompt template."""
    prompt: str = ""
    """What the prompt is, or a digest of it; empty for what the template of ``style`` is now."""
    unit: str = "conversation"
    """"conversation": a record is translated whole, earlier turns as context; "message": each message for itself."""
    source: str = "en"
    """Language that is translated."""
    target: str = "ar"
    """Language that is wanted."""
    masker: str = MASKER_VERSION
    """Version of the protected spans."""
    wordings: str = ""
    """Digest of both languages' wordings; empty where nobody asked for it."""
    judge: str = ""
    """The content judge, with a digest of its prompt; empty for rules alone."""

    @property
    def model(self) -> str:
        """Revision and quantisation in one name."""
        return f"{self.revision}+{self.quantisation}" if self.quantisation else self.revision

    def prompt_text(self) -> str:
        """The prompt around the text."""
        if self.prompt or self.style is not PromptStyle.INSTRUCT:
            return self.prompt or translation_prompt("", self.style, source=self.source, target=self.target)
        return repr(pair_wording(self.source, self.target))

    @property
    def owed(self) -> tuple[str, ...]:
        """Every licence that a row inherits from the translator."""
        return self.licences or (self.licence,)

    def recorded(self) -> dict[str, Any]:
        """JSON-ready, as an identity of before was recorded where it holds no more than that."""
        return {name: value for name, value in self.model_dump().items() if value or name not in _LATER}

    def differences(self, other: Identity) -> list[str]:
        """What ``other`` has changed, a line each ("decoding: 'a' is now 'b'"); licences are in no key."""
        mine, theirs = self.model_dump(mode="json"), other.model_dump(mode="json")
        return [f"{name}: {mine[name]!r} is now {theirs[name]!r}" for name in mine
                if mine[name] != theirs[name] and name not in _OWED]  # fmt: skip

    def key(self, record: InstructionRecord, glossary: Glossary | None = None) -> str:
        """Content address of one record: 32 hexadecimal digits."""
        said = [(message.role, message.content) for message in record.messages]
        used = sorted({(n, glossary[n]) for _, text in said for n in glossary.names_in(text)}) if glossary else []
        parts: list[object] = [
            said, used, self.masker, self.prompt_text(), self.model, self.decoding, self.unit, self.source, self.target,
        ]  # fmt: skip
        if self.wordings or self.judge:
            parts += [self.wordings, self.judge]
        return digest(parts)


def digest(value: object) -> str:
    """Hash of anything JSON-ready, 32 hexadecimal digits."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
