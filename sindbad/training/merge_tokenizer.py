"""Whose tokenizer and chat template a merged model has: chosen, never lost by accident.

mergekit copies both from the base. Where tuning added tokens or changed the template, that silently throws them away:
here models that differ are refused until somebody chooses. Tokens may only be added after the base's ids; two
vocabularies that number the same tokens differently cannot be merged row by row and are always refused.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sindbad.atomic import write_json
from sindbad.errors import InvalidInput
from sindbad.training.configuration import MergeConfig

TEMPLATE_FILE = "chat_template.jinja"
_TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "vocab.txt", "merges.txt", "generation_config.json", TEMPLATE_FILE,
)  # fmt: skip
_SPECIAL_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")


@dataclass(frozen=True, slots=True)
class Choice:
    """``tokenizer`` and ``template``: the folders they are taken from. Of the tokens that tuning added: ``dropped`` are
    lost, ``kept`` (their ids) are the tuned model's alone."""

    tokenizer: Path
    template: Path
    dropped: tuple[str, ...] = ()
    kept: tuple[int, ...] = ()


def choose(base: Path, tuned: Path, config: MergeConfig) -> Choice:
    """Where tokenizer and chat template come from.

    Raises:
        InvalidInput: they differ and nobody chose; tokens would be dropped; ids mean different tokens.
    """
    left, right = vocabulary(base), vocabulary(tuned)
    added = _added(left, right) if left and right else ()
    if config.tokenizer is None and added:
        raise InvalidInput(
            f"tuning added {_told(added)}: choose --tokenizer tuned to keep them (the base's merge would lose them)"
        )
    if config.tokenizer == "base" and added and not config.drop_added_tokens:
        raise InvalidInput(
            f"with the base's tokenizer {_told(added)} of the tuned model would be lost; --drop-added-tokens allows it"
        )
    folders = {"base": base, "tuned": tuned, None: base if left or not right else tuned}
    templates = [template_of(base), template_of(tuned)]
    if config.chat_template is None and None not in templates and templates[0] != templates[1]:
        raise InvalidInput("base and tuned model have different chat templates: choose --chat-template base or tuned")
    template = folders[config.chat_template] if config.chat_template else (base if templates[0] is not None else tuned)
    if config.tokenizer == "base":
        return Choice(folders["base"], template, dropped=added)
    return Choice(folders[config.tokenizer], template, kept=tuple(right[token] for token in added))


def vocabulary(folder: Path) -> dict[str, int]:
    """Token -> id of ``tokenizer.json``, added tokens included; empty when there is none."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return {}
    record = json.loads(path.read_text(encoding="utf-8"))
    listed = (record.get("model") or {}).get("vocab") or {}
    pairs = listed.items() if isinstance(listed, dict) else ((row[0], index) for index, row in enumerate(listed))
    return {**dict(pairs), **{token["content"]: token["id"] for token in record.get("added_tokens", [])}}


def template_of(folder: Path) -> str | None:
    """The chat template, from its own file or from ``tokenizer_config.json``."""
    if (folder / TEMPLATE_FILE).is_file():
        return (folder / TEMPLATE_FILE).read_text(encoding="utf-8")
    path = folder / "tokenizer_config.json"
    found = json.loads(path.read_text(encoding="utf-8")).get("chat_template") if path.is_file() else None
    return found if found is None or isinstance(found, str) else json.dumps(found, sort_keys=True)


def copy_choice(choice: Choice, base: Path, target: Path) -> None:
    """Tokenizer and template into ``target``, which already holds the base's files."""
    if choice.tokenizer != base:
        for name in _TOKENIZER_FILES:
            (target / name).unlink(missing_ok=True)
            if (choice.tokenizer / name).is_file():
                shutil.copyfile(choice.tokenizer / name, target / name)
    template = template_of(choice.template)
    if template is not None and template != template_of(target):
        _without_template(target / "tokenizer_config.json")
        (target / TEMPLATE_FILE).write_text(template, encoding="utf-8")


def special_ids(choice: Choice, base: Path) -> dict[str, Any]:
    """Beginning, end and padding ids of the configuration that belongs to the tokenizer; empty if it is the base's."""
    path = choice.tokenizer / "config.json"
    if choice.tokenizer == base or not path.is_file():
        return {}
    config = json.loads(path.read_text(encoding="utf-8"))
    return {key: config[key] for key in _SPECIAL_IDS if key in config}


def _without_template(path: Path) -> None:
    if not path.is_file():
        return
    record = json.loads(path.read_text(encoding="utf-8"))
    if record.pop("chat_template", None) is not None:
        write_json(path, record)


def _added(base: dict[str, int], tuned: dict[str, int]) -> tuple[str, ...]:
    names = {number: token for token, number in base.items()}
    moved = [token for token, number in tuned.items() if names.get(number, token) != token]
    gone = [token for token, number in base.items() if tuned.get(token) != number]
    if moved or gone:
        raise InvalidInput(
            f"the two tokenizers number tokens differently ({_told(tuple(sorted({*moved, *gone})))}); rows of their "
            "embeddings cannot be paired. Merge a model with its own base"
        )
    return tuple(sorted(tuned.keys() - base.keys(), key=lambda token: tuned[token]))


def _told(tokens: tuple[str, ...]) -> str:
    shown = ", ".join(repr(token) for token in tokens[:4])
    return f"{len(tokens)} token{'s'[: len(tokens) > 1]} ({shown}{', …' if len(tokens) > 4 else ''})"
