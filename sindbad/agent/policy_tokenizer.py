"""The policy's tokenizer, found where its model is: a model folder, or a weight store that may still be empty."""

from __future__ import annotations

from pathlib import Path

from sindbad.agent.chat import ChatTokenizer
from sindbad.agent.prompts import PromptSet
from sindbad.errors import NoModel
from sindbad.weights import WeightStore


class TokenizerSource:
    """Reads the tokenizer when it is first needed and keeps it: weight versions of one policy share one.

    Args:
        location: a folder with a tokenizer.json, or the root of a weight store.
    """

    def __init__(self, location: Path, prompts: PromptSet) -> None:
        self._location, self._prompts = location, prompts
        self._chat: ChatTokenizer | None = None

    def get(self) -> ChatTokenizer:
        """The tokenizer. Raises NoModel while there is none."""
        if self._chat is None:
            self._chat = ChatTokenizer.from_dir(self._folder(), self._prompts)
        return self._chat

    def ready(self) -> bool:
        """Whether :meth:`get` would find one."""
        try:
            self._folder()
        except NoModel:
            return False
        return True

    def _folder(self) -> Path:
        if (self._location / "tokenizer.json").is_file():
            return self._location
        current = WeightStore(self._location).current() if self._location.is_dir() else None
        if current is None or not (current.path / "tokenizer.json").is_file():
            raise NoModel(f"There is no tokenizer in {self._location} yet; publish a policy there first.")
        return current.path
