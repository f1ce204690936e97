"""Where a quantised model comes from: source digest, versions, and the licence that it inherits.

Covered: the licence named in the source's card (README.md or MODEL_CARD.md front matter) or given by the caller, with
what it asks for, and what the card of a model that Sindbad trained or merged says it was made of. A card without one
makes the result "unknown", never permissive.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import yaml

from sindbad import __version__
from sindbad.corpus.licences import obligations
from sindbad.quantize.configuration import QuantizeConfig
from sindbad.quantize.source import Source
from sindbad.training.card import LINEAGE_KEY, licences_of, parts_of_model
from sindbad.weights.card import front_matter as front_matter
from sindbad.weights.manifest import file_sha256

if TYPE_CHECKING:
    from sindbad.quantize.backends import Backend
    from sindbad.quantize.folder import QuantizationReport

KEPT = ("license", "license_name", "license_link", "language", "base_model", LINEAGE_KEY)


def lineage(source: Source, config: QuantizeConfig, backend: Backend, licence: str | None) -> dict[str, Any]:
    """The head of ``quantization.json``: everything but sizes and layers."""
    files = {file.name: file_sha256(file) for file in (source.folder / "config.json", *source.files)}
    digest = hashlib.sha256("".join(f"{name} {files[name]}\n" for name in sorted(files)).encode()).hexdigest()
    head = front_matter(source.folder)
    stated = licence or str(head.get("license_name") or head.get("license") or "unknown")
    made_of = licences_of(parts_of_model(source.folder)) if head.get(LINEAGE_KEY) else []
    owed = obligations([*([licence] if licence else []), *made_of] or [stated])
    return {
        "scheme": config.scheme.value,
        "format": backend.config["format"],
        "ignore": list(backend.config.get("ignore", ())),
        "backend": backend.name,
        "arithmetic": config.arithmetic,
        "source": {"folder": source.folder.name, "sha256": digest, "files": files},
        "licence": {"name": stated, "inherited": owed.sentences()},
        "versions": {"sindbad": __version__, **backend.versions},
    }


def card(source: Source, made: dict[str, Any], report: QuantizationReport) -> str:
    """README.md of the result: the source's licence and languages in the front matter, then what was done."""
    head = front_matter(source.folder)
    kept: dict[str, Any] = {key: head[key] for key in KEPT if key in head}
    kept.setdefault("license", obligations([made["licence"]["name"]]).card_licence)
    front = yaml.safe_dump({**kept, "base_model_relation": "quantized"}, allow_unicode=True, sort_keys=False).strip()
    return "\n".join([
        "---", front, "---",
        f"# {source.folder.name}, {report.scheme.value}",
        "",
        f"Every Linear but the head in eight bits ({made['format']}): one scale an output channel, inputs by token at",
        f"run time, no calibration data. Written by `sindbad quantize` with {report.backend}.",
        "",
        "| | |", "|---|---|",
        f"| size of all tensors | {report.bytes_before:,} → {report.bytes_after:,} bytes |",
        f"| mean reconstruction error of a layer | {report.mean_error:.4f} (relative Frobenius) |",
        f"| worst element | {report.worst.max_relative:.4f} in `{report.worst.name}` |",
        f"| source | sha256 `{made['source']['sha256']}` |",
        f"| licence | {made['licence']['name']}: {' '.join(made['licence']['inherited'])} |",
        "",
    ])  # fmt: skip
