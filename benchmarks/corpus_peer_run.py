"""A peer's side of the corpus benchmark: NeMo-Curator's translation stage, or datatrove's InferenceRunner.

Runs under a Python that has one of them, so it imports nothing of Sindbad:

    python corpus_peer_run.py ROWS.json OUT.json http://127.0.0.1:PORT TEMPLATE

ROWS is a list of ``{"id", "text"}``, OUT becomes the same with the peer's text. TEMPLATE is the prompt that the model
was trained on, with {source_lang}, {target_lang} and {src}. Prints one line of JSON: the peer, its version, seconds.

NeMo-Curator: its composite stage, every sub-stage as it is (coarse: a segment a line), called one after the other on
all rows as one batch; its executor (Ray) is left out, which can only help it. datatrove has no translation stage: its
runner, endpoint client and writer are used with a rollout function that asks line by line, as a user would write one.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

IN_FLIGHT, MOST_TOKENS = 64, 128
Row = dict[str, str]


def nemo_curator(rows: list[Row], address: str, template: str) -> tuple[list[Row], float]:
    """What ``TranslationStage`` makes of the rows, and in how many seconds."""
    import pandas as pd
    import yaml
    from nemo_curator.models.client.llm_client import GenerationConfig
    from nemo_curator.models.client.openai_client import AsyncOpenAIClient
    from nemo_curator.stages.text.experimental.translation.pipeline import TranslationStage
    from nemo_curator.tasks import DocumentBatch

    with tempfile.TemporaryDirectory() as folder:
        prompt = Path(folder) / "prompt.yaml"
        prompt.write_text(yaml.safe_dump({"system": "", "user": template}), encoding="utf-8")
        stage = TranslationStage(
            source_lang="en", target_lang="ar", text_field="text", output_field="translated_text",
            client=AsyncOpenAIClient(max_concurrent_requests=IN_FLIGHT, base_url=f"{address}/v1", api_key="none"),
            model_name="teacher", translation_prompt_path=str(prompt), max_concurrent_requests=IN_FLIGHT,
            generation_config=GenerationConfig(max_tokens=MOST_TOKENS, temperature=0.0, top_p=1.0), health_check=False,
        )  # fmt: skip
        parts = stage.decompose()
        for part in parts:
            part.setup()
    batch = DocumentBatch(dataset_name="rows", data=pd.DataFrame(rows))
    started = time.perf_counter()
    for part in parts:
        batch = part.process(batch)
    seconds = time.perf_counter() - started
    made = batch.to_pandas()
    return [
        {"id": str(one), "text": str(text)} for one, text in zip(made["id"], made["translated_text"], strict=True)
    ], seconds


def datatrove(rows: list[Row], address: str, template: str) -> tuple[list[Row], float]:
    """What an ``InferenceRunner`` makes of the rows, and in how many seconds, its writer included."""
    import asyncio
    import gzip

    from datatrove.data import Document
    from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner
    from datatrove.pipeline.writers import JsonlWriter

    async def line(text: str, generate: Any) -> str:
        if not text.strip():
            return text
        user = template.format(source_lang="English", target_lang="Arabic", src=text)
        return str((await generate({"messages": [{"role": "user", "content": user}]})).text)

    async def rollout(document: Any, generate: Any) -> str:
        return "\n".join(await asyncio.gather(*(line(one, generate) for one in document.text.split("\n"))))

    config = InferenceConfig(
        server_type="endpoint", model_name_or_path="teacher", endpoint_url=address, use_chat=True,
        default_generation_params={"max_tokens": MOST_TOKENS, "temperature": 0.0},
        max_concurrent_generations=IN_FLIGHT, max_concurrent_documents=IN_FLIGHT,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        runner = InferenceRunner(rollout, config, JsonlWriter(folder))
        documents = [Document(text=row["text"], id=row["id"]) for row in rows]
        started = time.perf_counter()
        runner.run(documents)
        seconds = time.perf_counter() - started
        written = [gzip.decompress(file.read_bytes()).decode("utf-8") for file in Path(folder).rglob("*.jsonl.gz")]
    found = [json.loads(one) for text in written for one in text.splitlines()]
    return [{"id": one["id"], "text": one["metadata"]["rollout_results"][0]} for one in found], seconds


PEERS = {"nemo_curator": nemo_curator, "datatrove": datatrove}


def main() -> None:
    """The first peer that is installed here."""
    rows_file, out_file, address, template = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    for name, run in PEERS.items():
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        rows = json.loads(Path(rows_file).read_text("utf-8"))
        made, seconds = run(rows, address, template)
        Path(out_file).write_text(json.dumps(made, ensure_ascii=False), encoding="utf-8")
        print(json.dumps({"peer": name, "version": version, "seconds": seconds}), file=answers, flush=True)
        return
    sys.exit(f"neither of {', '.join(PEERS)} is installed for {sys.executable}")


if __name__ == "__main__":
    # Beside this file lies platform.py, which would hide the standard library's module.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]
    main()
