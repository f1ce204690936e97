"""Licence lineage: what comes out inherits every licence of what went in, obligations included.

Covered: which obligations a licence name carries (non-commercial, share-alike, no derivatives, unknown), and the name
under which a mixture can be given away at all. Not covered: legal advice; two share-alike licences that exclude each
other are told, not resolved.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_NON_COMMERCIAL = re.compile(r"(^|[^a-z])nc([^a-z]|$)|non-?\s?commercial|research[- ]only")
_SHARE_ALIKE = re.compile(r"(^|[^a-z])sa([^a-z]|$)|share-?alike|odbl|gpl|gfdl|fdl")
_NO_DERIVATIVES = re.compile(r"(^|[^a-z])nd([^a-z]|$)|no-?deriv")
_UNKNOWN = frozenset({"", "unknown", "other", "none"})
_PERMISSIVE = ("mit", "apache", "bsd", "cc0", "cc-by-", "cc-by", "odc-by", "isc", "public domain", "cc by")


@dataclass(frozen=True, slots=True)
class Obligations:
    """What somebody who uses a thing under these licences must know. ``unclear``: names nobody here can read."""

    licences: tuple[str, ...]
    non_commercial: bool
    share_alike: tuple[str, ...]
    no_derivatives: tuple[str, ...]
    unclear: tuple[str, ...]

    @property
    def card_licence(self) -> str:
        """The ``license`` field of a card: the one licence, the strictest Creative Commons one, or "other"."""
        if self.unclear or self.no_derivatives:
            return "other"
        if len(self.licences) == 1:
            return self.licences[0].lower().replace(" ", "-")
        alike = {name for name in self.share_alike}
        if len(alike) > 1:
            return "other"
        if alike:
            name = next(iter(alike)).lower().replace(" ", "-")
            return name if not self.non_commercial or non_commercial(name) else "cc-by-nc-sa-4.0"
        return "cc-by-nc-4.0" if self.non_commercial else "cc-by-4.0"

    def sentences(self) -> list[str]:
        """The obligations for people."""
        said = []
        if self.non_commercial:
            said.append("Non-commercial use only: at least one source or the translator's licence says so.")
        if self.share_alike:
            said.append(f"Share alike: {', '.join(self.share_alike)} must be passed on.")
        if len(self.share_alike) > 1:
            said.append("These share-alike licences may exclude each other: keep their rows apart, or ask a lawyer.")
        if self.no_derivatives:
            said.append(f"No derivatives: {', '.join(self.no_derivatives)} does not allow translations.")
        if self.unclear:
            said.append(f"Unclear terms: {', '.join(self.unclear)}; find out before you publish.")
        return said or ["Free for any use, with attribution where a licence asks for it."]


def non_commercial(licence: str) -> bool:
    """Whether a licence's name forbids commercial use."""
    return bool(_NON_COMMERCIAL.search(licence.lower()))


def obligations(licences: Iterable[str]) -> Obligations:
    """Everything that the given licences ask for together; the order of first appearance is kept."""
    names = tuple({name.strip().lower(): name.strip() for name in licences}.values())
    return Obligations(
        names,
        any(map(non_commercial, names)),
        tuple(name for name in names if _SHARE_ALIKE.search(name.lower())),
        tuple(name for name in names if _NO_DERIVATIVES.search(name.lower())),
        tuple(name or "unknown" for name in names if _unclear(name.lower())),
    )


def licences_in(record: Mapping[str, Any]) -> tuple[str, ...]:
    """All licences of a translator as a job, an export or a model folder recorded it: before there was a list, one."""
    listed = record.get("licences")
    return tuple(map(str, listed)) if listed else (str(record.get("licence", "unknown")),)


def _unclear(name: str) -> bool:
    readable = name.startswith(_PERMISSIVE) or any(p.search(name) for p in (_NON_COMMERCIAL, _SHARE_ALIKE))
    return name in _UNKNOWN or not readable
