"""An examiner that has a verdict on nothing: one row without one is a rejection, many in succession are a wrong model.

"Unparsable is reject" (papers §4.4) is about a reply. Where every reply is one (another model behind the endpoint, a
prompt that is cut off, weights that refuse each text), rejecting row after row throws a corpus away and says nothing.
So rows without a verdict are counted in succession; any verdict, also "reject", begins anew.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from sindbad.errors import EngineFailure

NO_VERDICTS: Final = "NO_VERDICTS"
"""Reason of the failure: asking again, or starting a worker again, does not help."""
SILENT_EXIT: Final = 3
"""Exit code of a worker process that ended so."""
SILENT_ROWS: Final = 50
"""Rows in succession that are no chance any more. Ours: where four replies of five are unparsable, it happens by chance
once in 350,000 rows."""
_LONGEST = 200


class Silence:
    """Counts by examiner; every worker and every book of verdicts has its own.

    Args:
        limit: as many in succession end the work; None counts on for ever.
        setting: where the user changes ``limit``. asked: what is counted ("rows", "pairs").
    """

    def __init__(self, limit: int | None, *, setting: str, asked: str = "rows") -> None:
        self._limit, self._setting, self._asked = limit, setting, asked
        self._missed: Counter[str] = Counter()

    def heard(self, examiner: str) -> None:
        """It had a verdict."""
        self._missed[examiner] = 0

    def missed(self, examiner: str, reply: str) -> None:
        """It had none, but ``reply``. Raises EngineFailure/NO_VERDICTS when that was one too many."""
        self._missed[examiner] += 1
        if self._limit is None or self._missed[examiner] < self._limit:
            return
        said = reply if len(reply) <= _LONGEST else f"{reply[:_LONGEST]} …"
        raise EngineFailure(
            f"{examiner} had no verdict on {self._missed[examiner]} {self._asked} in succession, lastly: {said}. They "
            "are left unjudged: see which model answers there and how it is asked, and run this again; nothing is paid "
            f"for twice but these verdicts. If it is the right one for {self._asked} like these, raise {self._setting} "
            "(null: no limit)",
            reason=NO_VERDICTS,
            metadata={"examiner": examiner},
        )
