"""The same workers on a Ray cluster: one Ray Data task a worker. Ray is imported when the command runs, and not before.

Ray only places the workers and starts a dead one again; what is done, by whom, and what is left stands in the job's
folder, which every node must reach. So a Ray driver that dies loses nothing either: run the command again.
"""

from __future__ import annotations

from typing import Any


def one_worker(row: dict[str, Any]) -> dict[str, Any]:
    """What a Ray task runs: a worker until its round is finished. Returns what it did."""
    import asyncio

    from sindbad.cli.corpus import join

    tally = asyncio.run(join(row["url"], row["round"], row["storage"]))
    return {"worker": row["worker"], "attempts": tally.attempts, "accepted": tally.accepted}


def run_on_ray(
    url: str, round_number: int, workers: int, storage: str, *, address: str = "", cpus: float = 1.0
) -> list[dict[str, Any]]:
    """Run ``workers`` tasks and return what each did. Raises InvalidInput where Ray is not installed."""
    from sindbad.errors import InvalidInput

    try:
        import ray
        import ray.data
    except ImportError as error:
        raise InvalidInput("Ray is not installed here; use --workers, or an image that has it") from error
    ray.init(address=address or None, ignore_reinit_error=True)
    rows = [{"worker": n, "url": url, "round": round_number, "storage": storage} for n in range(workers)]
    tasks = ray.data.from_items(rows, override_num_blocks=workers)
    # A task that dies with its process is started again, without end: Ray Data's own default for tasks.
    found: list[dict[str, Any]] = tasks.map(one_worker, num_cpus=cpus).take_all()
    return found
