"""A corpus job beside NeMo-Curator's translation stage or datatrove's InferenceRunner, on the same rows and model.

    python benchmarks/corpus_peer.py --peer-python PATH [--peer-python PATH]      environments of their own
    python benchmarks/corpus_peer.py --quick --peer-python PATH                   a miniature

Rows are the demo's instructions, one sentence a line (the demo's teacher knows single sentences, and the peers ask line
by line); every second one carries something protected, in turn a fence of either kind, indented code, JSON, LaTeX, a
placeholder, a URL, inline code. The same weights on one thread in a process of their own: behind the translator service
for us, behind an OpenAI-compatible endpoint (a room of this benchmark, nothing more) for a peer, which is given the
prompt that the model was trained on. Greedy, 128 tokens at most, 64 in flight.

* ``…_seconds``, ``…_tokens_per_second``: ours is the whole job (masking, verification, retries, filters, ledger); a
  peer's is its run alone. Peers neither verify nor filter, so their rows go through our filters afterwards, untimed.
* ``…_accepted_rows``, ``…_accepted_rows_per_hour``: what passes those filters. ``…_plain_accepted_fraction``: of the
  rows without anything protected.
* ``…_rows_breaking_spans``: delivered rows in which something protected is missing or new. For us those are rows that
  were accepted; what broke before was asked again or rejected.

The teacher is a tiny model that has learned sentinels and no raw code: how often it breaks code says little of a large
one. That nothing notices does not depend on the model.
"""

# The path must be put right before anything else is imported.
# ruff: noqa: E402
from __future__ import annotations

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
if __name__ == "__main__":
    # Beside this file lies platform.py, which would hide the standard library's module.
    sys.path[:] = [os.path.dirname(_HERE), *(entry for entry in sys.path if os.path.abspath(entry) != _HERE)]
os.environ["PYTHONPATH"] = os.path.dirname(_HERE)

from sindbad.engines.threads import calm_threads

calm_threads(1)

import asyncio
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.corpus_room import MODEL, engine_server, free_port, job, records
from benchmarks.figures import Figure, machine, parser, publish, ratio
from sindbad.clients.translator import TranslatorClient
from sindbad.corpus.filters import FilterSettings, Pair, judge_all
from sindbad.corpus.records import InstructionRecord
from sindbad.corpus.translate import kept, translate_corpus
from sindbad.corpus.translators import ByMessage
from sindbad.corpus.worker import WorkerSettings

IN_FLIGHT = 64
DEADLINE_SECONDS = 3600
PROTECTED = (
    "```python\nfor page in pages:\n    print(page)\n```",
    "~~~python\nreturn [page for page in pages]\n~~~",
    "\n    pip install sindbad\n",
    '{\n  "page_id": 7,\n  "next": null\n}',
    "$$\n\\begin{aligned}\nx &= a + b\n\\end{aligned}\n$$",
    "{{user_name}}",
    "https://example.org/pages?id=7&lang=en",
    "Zifima is run by `get_mayor(city)`.",
)


def workload(count: int, seed: int) -> list[InstructionRecord]:
    """One sentence a line; every second row with one of ``PROTECTED`` in its first message."""
    return [_row(record, number) for number, record in enumerate(records(count, seed))]


def _row(record: InstructionRecord, number: int) -> InstructionRecord:
    lines = [replace(message, content=message.content.replace(". ", ".\n")) for message in record.messages]
    if number % 2:
        extra = PROTECTED[number // 2 % len(PROTECTED)]
        lines[0] = replace(lines[0], content=f"{lines[0].content}\n{extra}")
    return replace(record, messages=tuple(lines))


def judged(rows: Sequence[InstructionRecord], texts: Mapping[int, Sequence[str]]) -> dict[str, float]:
    """What our filters say of delivered rows: by number, one text a message."""
    accepted, plain, broken = 0, 0, 0
    for number, made in texts.items():
        messages = rows[number].messages
        replies = [*zip(made[1:], (m.content for m in messages[1:]), strict=True), ("", "")]
        pairs = [
            Pair(message.content, text, "en", "ar", None, *(reply if message.role == "user" else ("", "")))
            for message, text, reply in zip(messages, made, replies, strict=True)
        ]
        verdict = judge_all(pairs, FilterSettings())
        accepted += verdict.keep
        plain += verdict.keep and not number % 2
        broken += any(score.name == "protected" and score.value > 0 for score in verdict.scores)
    return {
        "delivered_rows": len(texts), "accepted_rows": accepted, "rows_breaking_spans": broken,
        "plain_accepted_fraction": plain / max(1, (len(rows) + 1) // 2),
    }  # fmt: skip


async def ours(address: str, rows: Sequence[InstructionRecord]) -> dict[str, float]:
    """The whole job through the translator service."""
    with tempfile.TemporaryDirectory(prefix="sindbad-corpus-benchmark-") as folder:
        made, started = job(folder), time.monotonic()
        async with TranslatorClient(address) as client:
            done = await translate_corpus(
                made, rows, ByMessage(client), settings=WorkerSettings(in_flight=IN_FLIGHT, poll_seconds=0.05)
            )
        seconds = time.monotonic() - started
        texts = {one.row: [message.content for message in one.translation.messages] for one in kept(made)}
    return {"seconds": seconds, "tokens": done.tally.output_tokens, **judged(rows, texts)}


async def peer(python: str, endpoint: str, rows: Sequence[InstructionRecord]) -> tuple[str, str, dict[str, float]]:
    """Name, version and what came out of it."""
    flat = [
        {"id": f"{row}.{at}", "text": message.content}
        for row, record in enumerate(rows)
        for at, message in enumerate(record.messages)
    ]
    with tempfile.TemporaryDirectory(prefix="sindbad-corpus-benchmark-") as name:
        given, out = Path(name) / "rows.json", Path(name) / "out.json"
        given.write_text(json.dumps(flat), encoding="utf-8")
        before = await usage(endpoint)
        process = await asyncio.create_subprocess_exec(
            python, str(Path(_HERE) / "corpus_peer_run.py"), str(given), str(out), endpoint, template(),
            stdout=asyncio.subprocess.PIPE, cwd=name, env={**os.environ, "PYTHONPATH": ""},
        )  # fmt: skip
        try:
            said, _ = await asyncio.wait_for(process.communicate(), DEADLINE_SECONDS)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise RuntimeError(f"the peer ended with {process.returncode}; its errors stand above")
        after, answer = await usage(endpoint), json.loads(said.splitlines()[-1])
        found: dict[int, dict[int, str]] = defaultdict(dict)
        for one in json.loads(out.read_text("utf-8")):
            row, at = map(int, one["id"].split("."))
            found[row][at] = one["text"]
    texts = {row: [parts[at] for at in sorted(parts)] for row, parts in found.items()}
    whole = {row: made for row, made in texts.items() if len(made) == len(rows[row].messages)}
    figures = {"seconds": answer["seconds"], "tokens": after["tokens"] - before["tokens"], **judged(rows, whole)}
    return answer["peer"], answer["version"], figures


def template() -> str:
    """The teacher's prompt with a peer's names for its parts."""
    from sindbad.translation.prompts import PromptStyle, translation_prompt

    asked = translation_prompt("{src}", PromptStyle.TEACHER)
    return asked.replace("English", "{source_lang}").replace("Arabic", "{target_lang}")


# ---- the endpoint
async def usage(endpoint: str) -> dict[str, int]:
    """Tokens and requests so far."""
    import aiohttp

    async with aiohttp.ClientSession() as session, session.get(f"{endpoint}/usage") as reply:
        found: dict[str, int] = await reply.json()
        return found


async def serve(port: int) -> None:
    """``/v1/chat/completions`` over the engine that the translator service has, until killed."""
    from aiohttp import web
    from transformers import AutoTokenizer

    from sindbad.engines.transformers_engine import TransformersEngine, TransformersEngineSettings
    from sindbad.translation.speakers import EngineSpeaker, Prompt

    engine = TransformersEngine(TransformersEngineSettings(threads=1))
    await engine.start()
    await engine.load(MODEL, 1)
    speaker = EngineSpeaker(engine, AutoTokenizer.from_pretrained(str(MODEL), local_files_only=True))
    counts = {"requests": 0, "tokens": 0}

    async def complete(request: web.Request) -> web.Response:
        asked = await request.json()
        texts = {message["role"]: message["content"] for message in asked["messages"]}
        said = await speaker.say(
            Prompt(texts["user"], texts.get("system") or ""), max_tokens=int(asked["max_tokens"]), longest=512,
            temperature=float(asked.get("temperature") or 0), seed=int(asked.get("seed") or 0),
        )  # fmt: skip
        if said.finish_reason == "too_long":
            return web.json_response({"error": {"message": "the prompt is too long"}}, status=400)
        counts["requests"] += 1
        counts["tokens"] += said.output_tokens
        spent = {"prompt_tokens": said.prompt_tokens, "completion_tokens": said.output_tokens}
        message = {"role": "assistant", "content": said.text}
        return web.json_response({
            "id": f"chat-{counts['requests']}", "object": "chat.completion", "created": 0, "model": "teacher",
            "choices": [{"index": 0, "message": message, "finish_reason": said.finish_reason}],
            "usage": {**spent, "total_tokens": sum(spent.values())},
        })  # fmt: skip

    async def models(_request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "teacher", "object": "model"}]})

    async def spent(_request: web.Request) -> web.Response:
        return web.json_response(counts)

    made = web.Application()
    made.add_routes([web.post("/v1/chat/completions", complete), web.get("/v1/models", models)])
    made.add_routes([web.get("/usage", spent)])
    runner = web.AppRunner(made)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


@asynccontextmanager
async def endpoint_server() -> AsyncIterator[str]:
    """:func:`serve` as a process, killed at the end; yields its address."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"import asyncio; from benchmarks.corpus_peer import serve; asyncio.run(serve({port}))",
        cwd=os.path.dirname(_HERE),
    )  # fmt: skip
    address, until = f"http://127.0.0.1:{port}", time.monotonic() + 120
    try:
        while True:
            try:
                await usage(address)
                break
            except OSError:
                if time.monotonic() > until or process.returncode is not None:
                    raise
                await asyncio.sleep(0.3)
        yield address
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


# ---- all of it
async def beside(pythons: Sequence[str], count: int) -> dict[str, Figure]:
    """Ours, then each peer, each with an engine that nobody else asks."""
    rows = workload(count, 50)
    figures: dict[str, Figure] = {"peer_rows": count, "peer_rows_with_spans": count // 2}
    async with engine_server() as server:
        await ours(server.address, workload(8, 1000))  # what is loaded once is loaded
        mine = await ours(server.address, rows)
    figures |= _named("ours", mine)
    for python in pythons:
        async with endpoint_server() as endpoint:
            name, version, found = await peer(python, endpoint, rows)
        figures |= {f"{name}_version": version, **_named(name, found)}
        for figure in ("tokens_per_second", "accepted_rows_per_hour"):
            mine_, theirs = figures[f"ours_{figure}"], figures[f"{name}_{figure}"]
            assert isinstance(mine_, float)
            assert isinstance(theirs, float)
            figures[f"ours_over_{name}_{figure}_ratio"] = ratio(mine_, theirs)
    return figures


def _named(name: str, found: Mapping[str, Any]) -> dict[str, Figure]:
    return {
        **{f"{name}_{figure}": value for figure, value in found.items()},
        f"{name}_tokens_per_second": found["tokens"] / found["seconds"],
        f"{name}_accepted_rows_per_hour": found["accepted_rows"] / found["seconds"] * 3600,
    }


def main() -> None:
    """Command line."""
    line = parser(__doc__)
    line.add_argument(
        "--peer-python", metavar="PATH", action="append", default=[], help="a Python with nemo_curator or datatrove"
    )
    line.add_argument("--rows", type=int, default=0, help="how many (default 2,000)")
    chosen = line.parse_args()
    figures = dict(machine())
    figures |= asyncio.run(beside(chosen.peer_python, chosen.rows or (64 if chosen.quick else 2000)))
    publish(figures, quick=chosen.quick, file=chosen.json)


if __name__ == "__main__":
    main()
