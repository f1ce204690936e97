"""What a training run asks of synthesis: more of what fails, and why (targeted synthesis).

A demand is pure data, JSON-ready. The curator's failure taxonomy fills it; :meth:`Demand.applied` turns it into a
:class:`~sindbad.questions.mixture.SynthesisConfig` whose quotas follow it. A demand never changes what is *accepted*:
every question still passes every check, and what cannot be made is reported as a shortfall.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, get_args

from sindbad.errors import InvalidInput
from sindbad.questions.candidates import Kind
from sindbad.questions.mixture import SynthesisConfig, WantedCell

PLAIN = ""
"""The uncertainty of a want that asks for none in particular."""


@dataclass(frozen=True, slots=True)
class Want:
    """One cell that is asked for.

    Attributes:
        kind: a question kind ("chain", "count", …).
        hops: number of clues, at least what the kind needs.
        uncertainty: "semantic", "distractor", "structural", or "" for no preference.
        weight: relative to the other wants, positive.
        why: what asked for it, for people ("retrieval_miss: 14 of 40 attempts").
    """

    kind: Kind
    hops: int
    uncertainty: str = PLAIN
    weight: float = 1.0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Demand:
    """Everything that is asked for; ``share`` of the questions follow it, the rest the configured mix."""

    wants: tuple[Want, ...] = ()
    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise InvalidInput(f"a demand's share must lie in [0, 1], got {self.share}")
        for want in self.wants:
            if want.kind not in get_args(Kind) or want.hops < 1 or want.weight <= 0:
                raise InvalidInput(f"no such question can be asked for: {want}")

    @property
    def wanted(self) -> dict[WantedCell, float]:
        """(kind, hops, uncertainty) -> weight; wants of one cell are added up."""
        weights: dict[WantedCell, float] = {}
        for want in self.wants:
            cell = (want.kind, want.hops, want.uncertainty)
            weights[cell] = weights.get(cell, 0.0) + want.weight
        return weights

    def applied(self, config: SynthesisConfig) -> SynthesisConfig:
        """``config`` with this demand in it, validated; unchanged for an empty demand."""
        if not self.wants or self.share == 0.0:
            return config
        given = config.model_dump()
        return SynthesisConfig.model_validate({**given, "wanted": self.wanted, "wanted_share": self.share})

    def to_record(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Demand:
        """Inverse of :meth:`to_record`. Raises InvalidInput for keys that no demand has, and one without wants."""
        if strange := sorted(set(record) - {entry.name for entry in fields(cls)}):
            raise InvalidInput(f"a demand has no {strange[0]!r}")
        if "wants" not in record:
            raise InvalidInput('a demand says what it wants: a list "wants"')
        return cls(tuple(Want(**want) for want in record.get("wants", ())), record.get("share", 0.5))
