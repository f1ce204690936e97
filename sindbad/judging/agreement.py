"""How often rule and model say the same: counts and Cohen's kappa."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Agreement:
    """The 2x2 table of two judges over the answers that both judged. The first name is the rule's verdict.

    ``unparsed`` counts answers for which the model said nothing readable; they are in no cell.
    """

    both_right: int = 0
    both_wrong: int = 0
    only_exact: int = 0
    only_llm: int = 0
    unparsed: int = 0

    @property
    def compared(self) -> int:
        return self.both_right + self.both_wrong + self.only_exact + self.only_llm

    @property
    def agreed(self) -> int:
        return self.both_right + self.both_wrong

    @property
    def rate(self) -> float:
        """Share of equal verdicts; 0 when nothing was compared."""
        return self.agreed / self.compared if self.compared else 0.0

    @property
    def kappa(self) -> float:
        """Cohen's kappa: agreement beyond chance. 1 perfect, 0 chance; 0 where it is undefined (one-sided margins)."""
        if not self.compared:
            return 0.0
        total = self.compared
        exact_yes, llm_yes = (self.both_right + self.only_exact) / total, (self.both_right + self.only_llm) / total
        chance = exact_yes * llm_yes + (1 - exact_yes) * (1 - llm_yes)
        return (self.rate - chance) / (1 - chance) if chance < 1 else 0.0

    def to_record(self) -> dict[str, float | int]:
        """JSON-ready form with the two rates."""
        cells = asdict(self)
        return {**cells, "compared": self.compared, "agreed": self.agreed, "rate": self.rate, "kappa": self.kappa}


class AgreementTally:
    """Counts as verdicts arrive (one event loop or one thread)."""

    def __init__(self) -> None:
        self._cells = {"both_right": 0, "both_wrong": 0, "only_exact": 0, "only_llm": 0, "unparsed": 0}

    def add(self, exact: bool, llm: bool | None) -> None:
        """One answer that both were asked about."""
        if llm is None:
            cell = "unparsed"
        elif exact == llm:
            cell = "both_right" if exact else "both_wrong"
        else:
            cell = "only_exact" if exact else "only_llm"
        self._cells[cell] += 1

    def snapshot(self) -> Agreement:
        return Agreement(**self._cells)
