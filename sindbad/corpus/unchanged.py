"""Whether a round's translator and examiners are still those that it was planned for: asked by every worker that joins.

Not covered: a model folder that translates, which is read by its path, and an endpoint, which cannot be asked.
"""

from __future__ import annotations

from sindbad.corpus.connect import Connection, Examination
from sindbad.corpus.identify import Named, examiner_names, identify
from sindbad.corpus.job import Job
from sindbad.errors import InvalidInput


async def still_translated_by(job: Job, connection: Connection, named: Named, patience_seconds: float) -> None:
    """Raise InvalidInput where the service would translate under another address than the round's."""
    identity = job.spec.identity
    if not connection.service or not identity.wordings:  # begun before anybody asked, or declared by the user
        return
    now, _ = await identify(connection, named, patience_seconds=patience_seconds)
    if changed := identity.differences(now):
        raise InvalidInput(
            f"the translator is not what this round was planned for ({'; '.join(changed)}): "
            "go on with `sindbad corpus resume`, which plans the rows that it touches anew"
        )


async def still_examined_by(job: Job, asked: Examination, patience_seconds: float) -> None:
    """Raise InvalidInput where other examiners would judge here than the round's."""
    spec = job.spec
    now = await examiner_names(asked, spec.identity.source, spec.identity.target, patience_seconds=patience_seconds)
    if now != spec.examiners:
        raise InvalidInput(
            f"the examiners are not what this round was planned for ({', '.join(spec.examiners) or 'none'}; now "
            f"{', '.join(now) or 'none'}): go on with `sindbad corpus resume`, which judges the translations again"
        )
