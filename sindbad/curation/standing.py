"""Where targeted synthesis stands, on disk: what failed since the last demand, and a demand that is being met.

One small file that is replaced whole, so a kill at any moment leaves the state before or after. Not on disk: steps that
wait to be counted; a learner that was killed before its checkpoint tells its last step again, and it is counted once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sindbad import atomic
from sindbad.curation.feedback import FailureTally
from sindbad.errors import Corrupt
from sindbad.questions.demand import Demand


@dataclass(slots=True)
class Standing:
    """Attributes:
    answered: number of the last refresh that a demand was made of. tally: what was counted since.
    counted: ids of the attempts of the last step in it. pending: the demand of ``answered``, until it was met.
    """

    answered: int
    tally: FailureTally = field(default_factory=FailureTally)
    counted: frozenset[str] = frozenset()
    pending: Demand | None = None

    def save(self, path: Path) -> None:
        """Replace the file."""
        pending = None if self.pending is None else self.pending.to_record()
        record = {
            "answered": self.answered, "pending": pending, "tally": self.tally.to_record(),
            "counted": sorted(self.counted),
        }  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_json(path, record, indent=None)

    @classmethod
    def read(cls, path: Path) -> Standing | None:
        """What :meth:`save` wrote last; None where there is no file. Raises Corrupt."""
        try:
            record: dict[str, Any] = json.loads(path.read_text("utf-8"))
            pending = record["pending"]
            return cls(
                int(record["answered"]), FailureTally.from_record(record["tally"]), frozenset(record["counted"]),
                None if pending is None else Demand.from_record(pending),
            )  # fmt: skip
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Corrupt(f"{path} does not say where synthesis stands ({error!r}); remove it to count anew") from error
