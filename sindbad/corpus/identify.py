"""Who translates a job's rows, and how: the content address's part that the translator itself has to say. Who examines
them is named here too, for the job's settings.

A model folder and an endpoint are described here; a service is asked (``Describe``), each of its addresses, because
what it runs is its own and changes without us. A service that cannot say it needs the user's word (``declared``):
guessing would give equal addresses to different translations. Replicas behind one address are not told apart, nor what
an endpoint serves under the same name as before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from sindbad.corpus import connect
from sindbad.corpus.address import Identity, digest
from sindbad.corpus.connect import Connection, Examination
from sindbad.corpus.licences import obligations
from sindbad.errors import InvalidInput, NoModel, NotFound, Unavailable
from sindbad.translation.described import describe, short_digest, weights_of, wordings_digest
from sindbad.translation.prompts import PromptStyle
from sindbad.translation.protocol import Description
from sindbad.weights.manifest import file_sha256

PAUSE_SECONDS = 0.5
_NAMELESS = "name the weights with --revision: two models must never share content addresses"
_NO_DESCRIPTION = "NO_DESCRIPTION"
_SHOWN = 16
"""Digits of a digest in an examiner's name."""
_WORDS = frozenset((".md", ".html", ".png", ""))
"""Ends of names of what only people read in a model's folder (".gitattributes" has none)."""


class Named(BaseModel):
    """What the user says of the translation; the rest is asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    licence: str
    """Of the translator."""
    licences: tuple[str, ...] = ()
    """As in :class:`Identity`."""
    revision: str = ""
    """Names the weights; for a service that knows its own, beside their digest; for an endpoint, beside the name that
    the model has there."""
    quantisation: str = ""
    """Where nobody else says it."""
    declared: str = ""
    """Stands for prompt, decoding and wordings of a service that is older than ``Describe``; it isn't asked then."""
    unit: str = "conversation"
    """As in :class:`Identity`."""
    source: str = "en"
    """Language that is translated."""
    target: str = "ar"
    """Language that is wanted."""


def owed(licences: Iterable[str]) -> dict[str, Any]:
    """The fields ``licence`` and ``licences`` of a :class:`Named` whose translator is under all of these."""
    found = obligations(licences)
    if len(found.licences) > 1:
        return {"licence": found.card_licence, "licences": found.licences}
    return {"licence": "".join(found.licences) or "unknown"}


async def identify(connection: Connection, named: Named, *, patience_seconds: float = 0.0) -> tuple[Identity, str]:
    """The identity of a job's rows, and the licence that the weights' own folder states ("" where nobody knows).

    Raises:
        InvalidInput: the weights have no name, services differ, the user and a service contradict each other, or a
        service cannot say what it does. Unavailable, NoModel: as every service, when the patience is over.
    """
    if named.declared:
        return _declared(connection, named), ""
    found = await _translator(connection, named, patience_seconds)
    if connection.model is None and found.version < 0 and not named.revision:
        raise InvalidInput(_NAMELESS)  # what an endpoint calls its model may be another one tomorrow
    if connection.service and named.unit == "message":
        own = wordings_digest(named.source, named.target)  # they decide here which records go as conversations
        found = replace(found, wordings=found.wordings if own == found.wordings else f"{found.wordings}+{own}")
    return identity_of(found, named), found.licence


async def examiner_names(
    asked: Examination, source: str, target: str, *, patience_seconds: float = 0.0
) -> tuple[str, ...]:
    """What decides the examiners' verdicts on translations into ``target``, for a job's settings: others judge again.

    A quality model is its weights' digest, a judge its name with how it is asked, who translates back what it says of
    itself. Names of before held less: a job of then judges its translations once more. Raises as :func:`identify`.
    """
    found = []
    if (quality := asked.quality) is not None:
        weights = await asyncio.to_thread(_estimator, quality.model)
        found.append(f"quality:{quality.model.name}+{weights}>={quality.minimum:g}")
    if (back := asked.round_trip) is not None:
        named = Named(licence="unknown", revision=back.revision, source=target, target=source)
        model = await _back(back.translator, named, patience_seconds)
        found.append(f"round_trip:{model}>={back.settings.chrf_min:g}")
    return (*found, *([asked.judge.name] if asked.judge else []))


def _estimator(folder: Path) -> str:
    """Its files by their content, in whatever form its weights and tokenizer are; only its card decides nothing."""
    if not (folder / "config.json").is_file():
        raise NotFound(f"{folder} holds no model (no config.json)")
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix not in _WORDS)
    return digest([[path.name, file_sha256(path)] for path in files])[:_SHOWN]


async def _back(connection: Connection, named: Named, patience_seconds: float) -> str:
    """Who translates back, by a name and a digest of all that decides how."""
    try:
        found = await _described(connection.checked(), named, patience_seconds)
    except NotFound as error:
        if error.reason != _NO_DESCRIPTION:
            raise
        if not named.revision:
            raise InvalidInput(f"{error.message}; update it, or name it (examiners.round_trip.revision)") from error
        return named.revision
    decides = {name: getattr(found, name) for name in _COMPARED if name != "licence"}
    name = "@".join(part for part in (named.revision, found.revision[:_SHOWN]) if part)
    return f"{name}+{short_digest(decides)}"


async def _translator(connection: Connection, named: Named, patience_seconds: float) -> Description:
    try:
        return await _described(connection, named, patience_seconds)
    except NotFound as error:
        if error.reason != _NO_DESCRIPTION:
            raise
        raise InvalidInput(
            f"{error.message}: update it, or give its prompt and decoding a name with --translator-identity and change "
            "that name when you change them"
        ) from error


async def _described(connection: Connection, named: Named, patience_seconds: float) -> Description:
    if connection.service:
        return await _asked(connection, named, patience_seconds)
    return await asyncio.to_thread(_own, connection, named)


def _declared(connection: Connection, named: Named) -> Identity:
    if not connection.service:
        raise InvalidInput("only a service's translations are declared; a model folder or an endpoint is known")
    if not named.revision:
        raise InvalidInput(_NAMELESS)
    word = f"declared: {named.declared}"
    return Identity(
        revision=named.revision, quantisation=named.quantisation, licence=named.licence, licences=named.licences,
        unit=named.unit, source=named.source, target=named.target, prompt=word, decoding=word,
    )  # fmt: skip


def _own(connection: Connection, named: Named) -> Description:
    """A translator that every worker makes for itself."""
    folder, settings = connection.model, connection.settings
    if folder is not None:
        from sindbad.translation.small_models import prompt_style

        settings = settings.model_copy(update={"style": prompt_style(folder, settings.style)})
    # The user's name for a folder stands for its content: copies may differ in a file that decides nothing.
    held = weights_of(folder, revision=named.revision) if folder is not None else None
    found = describe(
        settings, source=named.source, target=named.target, weights=held, judge=connection.content_judge,
        endpoint=connection.asked() if connection.endpoint else None,
    )  # fmt: skip
    return replace(found, revision="") if named.revision and folder is not None else found


def identity_of(found: Description, named: Named) -> Identity:
    """What a translator says of itself, with what the user says. Raises InvalidInput where they contradict."""
    revision = "@".join(dict.fromkeys(part for part in (named.revision, found.revision) if part))
    if not revision:
        raise InvalidInput(_NAMELESS)
    if named.quantisation and found.quantisation and named.quantisation != found.quantisation:
        raise InvalidInput(f"--quantisation {named.quantisation}, but the weights are {found.quantisation}")
    if found.style not in set(PromptStyle):
        raise InvalidInput(f"the service has the prompt style {found.style!r}, which is newer than this client")
    return Identity(
        revision=revision, quantisation=named.quantisation or found.quantisation, licence=named.licence,
        licences=named.licences, unit=named.unit, source=named.source, target=named.target,
        style=PromptStyle(found.style), prompt=found.prompt, decoding=found.decoding, masker=found.masker,
        wordings=found.wordings, judge=found.judge,
    )  # fmt: skip


async def _asked(connection: Connection, named: Named, patience_seconds: float) -> Description:
    """What all addresses say alike."""
    found = {address: await _one(address, named, patience_seconds) for address in connection.service}
    (first, said), *others = found.items()
    for address, other in others:
        if other != said:
            differing = [f"{name} {getattr(said, name)!r} and {getattr(other, name)!r}"
                         for name in _COMPARED if getattr(said, name) != getattr(other, name)]  # fmt: skip
            raise InvalidInput(
                f"{first} and {address} do not translate alike ({'; '.join(differing)}): one job has one translator"
            )
    return said


_COMPARED = tuple(name for name in Description.__slots__ if name != "version")


async def _one(address: str, named: Named, patience_seconds: float) -> Description:
    from sindbad.clients.translator import TranslatorClient

    ends = time.monotonic() + patience_seconds
    while True:
        try:
            async with TranslatorClient(
                [address], patience_seconds=connect.AWAY_SECONDS, deadline_seconds=60.0
            ) as client:
                return await client.describe(named.source, named.target)
        except NotFound as error:
            if error.reason != _NO_DESCRIPTION:
                raise
            raise NotFound(
                f"{address} is older than this client and cannot say what decides its translations",
                reason=_NO_DESCRIPTION,
            ) from error
        except (Unavailable, NoModel) as error:
            if time.monotonic() >= ends:
                away = "is away" if isinstance(error, Unavailable) else "holds no model"
                raise type(error)(
                    f"{address} {away}; a job begins with what it says of itself: {error.message}"
                ) from error
        await asyncio.sleep(PAUSE_SECONDS)
