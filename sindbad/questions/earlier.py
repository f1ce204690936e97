"""A finished run of ``sindbad questions make``, to make more like it: same settings, same entities aside for test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sindbad.configuration import resolve
from sindbad.errors import InvalidInput, NotFound
from sindbad.questions.factory import graph_digest, open_any
from sindbad.questions.making import MakingConfig


@dataclass(frozen=True, slots=True)
class Earlier:
    """What a run's folder says. ``looked_up``: it kept only what the tools bring up."""

    folder: Path
    digest: str
    world_id: str
    seed: int
    test_share: float
    series: int
    config: MakingConfig
    looked_up: bool

    @classmethod
    def read(cls, folder: Path, graph: Path) -> Earlier:
        """Raises NotFound or InvalidInput where it is no finished run, or one of another graph."""
        run, summary = _record(folder, "run.json"), _record(folder, "summary.json")
        try:
            digest, seed, share = str(run["graph"]), int(run["seed"]), float(run["test_share"])
            settings, world = run["settings"], str(summary["world_id"])
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput(f"{folder} holds no run of `sindbad questions make` ({error!r})") from None
        if graph_digest(open_any(graph), graph) != digest:
            raise InvalidInput(f"the questions of {folder} were made from another graph than {graph}")
        config = resolve(MakingConfig, settings, source=str(folder / "run.json"))
        looked_up = bool(summary.get("looked_up"))
        return cls(folder, digest, world, seed, share, int(run.get("series", 0)), config, looked_up)

    @property
    def known(self) -> tuple[Path, ...]:
        """What it made: not to be made again, and nothing of the test side to be trained on."""
        return tuple(path for name in ("train", "test") if (path := self.folder / f"{name}.jsonl").is_file())

    def require(self, index: Path | None) -> None:
        """Raises InvalidInput where it kept only what the tools bring up and more of it would not."""
        if self.looked_up and index is None:
            raise InvalidInput(
                f"{self.folder} holds only what the tools bring up, and more of it must, too: name the index"
            )


def _record(folder: Path, name: str) -> Mapping[str, Any]:
    try:
        record = json.loads((folder / name).read_text("utf-8"))
    except FileNotFoundError:
        raise NotFound(
            f"{folder / name} is not there: name the --out folder of a finished `sindbad questions make`"
        ) from None
    except ValueError as error:
        raise InvalidInput(f"{folder / name} is not JSON ({error})") from None
    if not isinstance(record, dict):
        raise InvalidInput(f"{folder / name} holds no run of `sindbad questions make`")
    return record
