"""The card of a trained or merged model: what it was made of, and the licence that it inherits from all of it.

Invariant: what any part asks for stands in every card downstream (``lineage`` in the front matter lists the parts; a
merge, a second tuning and a quantisation read it back). A part whose terms nobody stated counts as "unknown" as soon as
another part's are known, never as permissive. Where nothing is known about any part, there is no card. A card is
``README.md`` and nothing else: weights, configuration and tokenizer keep their bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from sindbad.corpus import exported
from sindbad.corpus.licences import licences_in, obligations
from sindbad.weights.card import CARDS, front_matter

CARD: Final = "README.md"
LINEAGE_KEY: Final = "lineage"
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Part:
    """Something that a model was made of: "base model", "data set", "translator", … with the licences it is under."""

    kind: str
    name: str
    licences: tuple[str, ...]


def parts_of_model(folder: Path, kind: str = "base model") -> tuple[Part, ...]:
    """What the card of a model folder says it was made of, or the model itself under its licence; () if neither."""
    head = front_matter(folder)
    listed = head.get(LINEAGE_KEY)
    if isinstance(listed, list) and listed:
        return tuple(map(_part, listed))
    stated = head.get("license_name") or head.get("license") or ()
    names = tuple(map(str, stated)) if isinstance(stated, list | tuple) else (str(stated),)
    return (Part(kind, _title(folder), names),) if names else ()


def parts_of_data(path: Path) -> tuple[Part, ...]:
    """The sources of an exported data set (or of the one that a Parquet file belongs to) and its translator; the
    origins of a file that `sindbad corpus pairs` wrote; or ()."""
    folder = exported.export_of(path)
    if folder is None:
        from sindbad.corpus.bilingual import licences_beside

        return parts_by_source(licences_beside(path))
    found = exported.read_lineage(folder)
    identity, held = found["spec"]["identity"], found["spec"].get("source", {}).get("held", ())
    sources = parts_by_source(found["licences"])
    named = [(identity.get("revision", ""), identity), *((one.get("translator", ""), one) for one in held)]
    translators = (Part("translator", str(name), licences_in(one)) for name, one in named)
    return (*sources, *translators)


def parts_by_source(licences: Mapping[str, Iterable[str]]) -> tuple[Part, ...]:
    """Data sets by name, each under its licences."""
    return tuple(Part("data set", name, tuple(map(str, found))) for name, found in sorted(licences.items()))


def together(*sides: tuple[str, str, tuple[Part, ...]]) -> tuple[Part, ...]:
    """The union of (kind, name, its parts); a side without parts is unknown. () where no side says anything."""
    if not any(parts for _, _, parts in sides):
        return ()
    found = (parts or (Part(kind, name, (UNKNOWN,)),) for kind, name, parts in sides)
    return tuple(dict.fromkeys(part for parts in found for part in parts))


def licences_of(parts: Iterable[Part]) -> list[str]:
    """Every licence of every part."""
    return [licence for part in parts for licence in part.licences]


def card(name: str, how: str, parts: tuple[Part, ...]) -> str:
    """README.md of a model that was made of ``parts``; "" where there are none."""
    if not parts:
        return ""
    owed = obligations(licences_of(parts))
    listed = [{"kind": part.kind, "name": part.name, "licences": list(part.licences)} for part in parts]
    head = {"license": owed.card_licence, "tags": ["sindbad"], LINEAGE_KEY: listed}
    front = yaml.safe_dump(head, allow_unicode=True, sort_keys=False).strip()
    return "\n".join([
        "---", front, "---",
        f"# {name}",
        "",
        how,
        "",
        "## Licences",
        "",
        "The model inherits what everything that it was made of asks for.",
        "",
        *(f"- {sentence}" for sentence in owed.sentences()),
        "",
        "| made of | | licences |", "|---|---|---|",
        *(f"| {part.kind} | {part.name} | {', '.join(part.licences)} |" for part in parts),
        "",
    ])  # fmt: skip


def passed_on(base: Path) -> str:
    """The card of a model that was trained from ``base`` on data that adds no terms (its own attempts, by RL)."""
    return card("Trained model", "Trained on from the base model below.", parts_of_model(base))


def _part(entry: Any) -> Part:
    """An entry of the front matter; what cannot be read counts as unknown."""
    if not isinstance(entry, dict):
        return Part("part", str(entry), (UNKNOWN,))
    licences = entry.get("licences")
    named = tuple(map(str, licences)) if isinstance(licences, list) and licences else (UNKNOWN,)
    return Part(str(entry.get("kind", "part")), str(entry.get("name", "")), named)


def _title(folder: Path) -> str:
    """The first heading of the card, or the folder's name."""
    for name in CARDS:
        if (folder / name).is_file():
            lines = (folder / name).read_text(encoding="utf-8", errors="replace").splitlines()
            return next((line[2:].strip() for line in lines if line.startswith("# ")), folder.resolve().name)
    return folder.resolve().name
