"""Dates of attributes: "1922-06-19", "1922-06", "1922", "-0044-03-15". One pattern for all who read them.

The pattern is plain enough for Python and for DuckDB, so that the solver and its reference know the same dates.
"""

from __future__ import annotations

import re
from typing import Final

DATE: Final = r"(-?[0-9]{1,4})(?:-([0-9]{2}))?(?:-([0-9]{2}))?"
"""Of a whole text. Groups: year (negative: BC), month, day."""
_DATE: Final = re.compile(DATE)


def date_parts(text: str) -> tuple[int, int, int] | None:
    """(year, month, day), 0 for a part that is not given; None for what is no date."""
    match = _DATE.fullmatch(text)
    return None if match is None else (int(match[1]), int(match[2] or 0), int(match[3] or 0))
