"""What decides a translation, said by whoever translates: the parts of a content address that are the translator's.

The service says it over the wire, a corpus job of its own translators; both by :func:`describe`, so that a service and
a model folder that translate alike have equal addresses. Covered: weights, masker, prompt, limits and checks, wordings,
content judge, and how somebody else's endpoint is asked. Not covered: the arithmetic (device, threads, batch), and the
rules that stand in code; the masker has a version of its own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from sindbad.clients.openai import OpenAISettings
from sindbad.translation.content import judge_prompt
from sindbad.translation.prompts import PromptStyle, pair_wording, translation_prompt
from sindbad.translation.protocol import Description
from sindbad.translation.settings import TranslatorSettings
from sindbad.translation.spans import MASKER_VERSION
from sindbad.translation.wording import get_wording


@dataclass(frozen=True, slots=True)
class Weights:
    """What a description says of the weights that its translator holds; all unknown where they are somebody else's."""

    revision: str = ""
    quantisation: str = ""
    licence: str = ""
    version: int = -1


def weights_of(folder: Path, version: int = -1, *, revision: str = "") -> Weights:
    """Those of a model folder. Reads them all, seconds for a large model, unless they have a ``revision`` already."""
    from sindbad.quantize.loading import quantisation_name
    from sindbad.weights.folder import model_revision

    return Weights(revision or model_revision(folder), quantisation_name(folder), folder_licence(folder), version)


def describe(
    settings: TranslatorSettings,
    *,
    source: str,
    target: str,
    endpoint: OpenAISettings | None = None,
    judge: OpenAISettings | None = None,
    weights: Weights | None = None,
) -> Description:
    """A translator with these settings in one direction. Raises InvalidInput for a language.

    ``endpoint`` is where it is asked, if its model is there: the model's name there is its revision; ``weights``, if it
    holds its own.
    """
    held = weights or Weights()
    revision = held.revision or (endpoint.model if endpoint is not None else "")
    asked = f";asked={_way_of_asking(endpoint)}" if endpoint is not None else ""
    return Description(
        style=settings.style.value,
        prompt=short_digest(prompt_text(settings.style, source, target)),
        decoding=settings.decoding() + asked,
        wordings=wordings_digest(source, target),
        masker=MASKER_VERSION,
        judge=model_name(judge, judge_prompt()) if judge is not None else "",
        revision=revision,
        quantisation=held.quantisation,
        licence=held.licence,
        version=held.version,
    )


def folder_licence(folder: Path) -> str:
    """The licence that ``licence.json`` or the card's front matter names; "" where neither does."""
    from sindbad.weights.card import front_matter

    try:
        stated = json.loads((folder / "licence.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        stated = None
    if isinstance(stated, dict) and stated.get("licence"):
        return str(stated["licence"])
    head = front_matter(folder)
    return str(head.get("license_name") or head.get("license") or "")


def wordings_digest(source: str, target: str) -> str:
    """Of both languages' wordings, as this process has them."""
    return short_digest([get_wording(source).words(), get_wording(target).words()])


def prompt_text(style: PromptStyle, source: str, target: str) -> str:
    """All words that may stand around a text in one direction."""
    if style is PromptStyle.INSTRUCT:
        return repr(pair_wording(source, target))
    return translation_prompt("", style, source=source, target=target)


def model_name(asked: OpenAISettings, prompt: str) -> str:
    """A model behind an endpoint as a judge: its name, with a digest of its prompt and of how it is asked."""
    return f"{asked.model}+{short_digest([prompt, _way_of_asking(asked), asked.temperature])}"


def _way_of_asking(asked: OpenAISettings) -> str:
    """A digest of what an endpoint is told beside the prompt; "plain" for nothing. Not where it is: that may move."""
    return short_digest([asked.system, dict(asked.extra)]) if asked.system or asked.extra else "plain"


def short_digest(value: object) -> str:
    """Hash of anything JSON-ready, 16 hexadecimal digits."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
