"""The learner's side of a weight store: versions count learner steps, and publishing one twice is harmless."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sindbad.errors import Unavailable
from sindbad.weights import WeightStore


class StorePublisher:
    """Publishes a model's weights as consecutive versions.

    Args:
        like: model folder whose configuration and tokenizer go with every version.
        keep: newest versions kept on disk; replicas may still be loading the one before.
    """

    def __init__(self, store: WeightStore, like: Path, *, stage: str = "", keep: int = 4) -> None:
        self._store = store
        self._like = like
        self._stage = stage
        self._keep = keep

    def current(self) -> int | None:
        """The newest version that the pointer names."""
        found = self._store.current()
        return None if found is None else found.number

    def publish(self, model: Any, version: int) -> Path:
        """Publish as ``version``; one that a killed learner stored without moving the pointer only gets the pointer.

        Raises:
            Unavailable: somebody else publishes to this store, so numbers no longer count this learner's steps.
        """
        if version in self._store.numbers():
            self._store.set_current(version)
            return self._store.get(version).path
        stored = self._store.publish(model.state_dict(), like=self._like, metadata={"stage": self._stage})
        if stored.number != version:
            raise Unavailable(
                f"{self._store.root} gave version {stored.number} where {version} was due; one learner, one store"
            )
        self._store.collect_garbage(keep=self._keep)
        return stored.path
