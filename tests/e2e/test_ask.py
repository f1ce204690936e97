"""`sindbad ask` on a run whose services are down: it starts them, asks, and takes them down again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sindbad.demo.tokenizer import build_tokenizer, padded_size, save_tokenizer
from sindbad.demo.world import build_world
from sindbad.languages import LANGUAGES
from sindbad.retrieval.index import build
from sindbad.supervisor.registry import read_registry
from sindbad.weights import WeightStore
from tests.tiny_models import save_tiny_lfm2

ROOT = Path(__file__).resolve().parents[2]


def make_run(run: Path) -> str:
    """A run with one small world, its index and an untrained policy; returns a name in it."""
    world = build_world(77, 24)
    pages = [page for code in LANGUAGES for page in world.pages(code)]
    build(pages, run / "index")
    (run / "worlds").mkdir()
    lines = "".join(json.dumps({"title": page.title, "corpus": page.corpus}) + "\n" for page in pages)
    (run / "worlds" / "pages-en.jsonl").write_text(lines, encoding="utf-8")
    model = save_tiny_lfm2(run / "model", vocabulary=padded_size(build_tokenizer()))
    save_tokenizer(model)
    WeightStore(run / "models" / "policy").publish(model)
    return pages[0].title


def processes_naming(folder: Path) -> list[str]:
    """Command lines of living processes that name a file in ``folder``, as every child of its supervisor does."""
    lines = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            lines.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
        except OSError:  # gone in the meantime
            continue
    return [line for line in lines if str(folder) in line and f"--run {folder}" not in line]


@pytest.mark.slow
def test_ask_starts_the_services_it_needs_and_takes_them_down_again(tmp_path: Path) -> None:
    title = make_run(tmp_path)
    command = [sys.executable, "-c", "import typer; from sindbad.cli.ask import ask; typer.run(ask)"]
    options = ["--run", str(tmp_path), "--timeout", "60"]
    result = subprocess.run(
        [*command, f"{title} was born in which city?", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert result.returncode in (0, 3), result.stdout + result.stderr  # the policy knows nothing: an answer is luck
    assert "Starting the services" in result.stdout
    assert "en · tools: search, visit" in result.stdout
    assert "took" in result.stdout
    assert set(read_registry(tmp_path)) == {"search", "sandbox", "policy", "summarizer", "judge", "agent"}
    assert list((tmp_path / "logs").glob("policy-*.log"))
    assert processes_naming(tmp_path) == []
