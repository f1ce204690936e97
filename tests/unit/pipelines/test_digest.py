"""The code digest: part of every step's cache key, so it must see all that a step runs, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import digest

STEP = '''
def run():
    """Steps import inside their functions, as KFP's components must."""
    from sindbad.used import answer
    import sindbad.deep.inner.leaf
    return answer()
'''


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A little checkout: one step, a module it reaches through a function, one two folders down, one it never sees."""
    files = {
        "constraints.txt": "torch==1\n",
        "pipelines/__init__.py": "",
        "pipelines/step.py": STEP,
        "sindbad/__init__.py": "",
        "sindbad/used.py": "from sindbad.onward import value\ndef answer(): return value\n",
        "sindbad/onward.py": "value = 1\n",
        "sindbad/unused.py": "value = 1\n",
        "sindbad/deep/__init__.py": "",
        "sindbad/deep/inner/__init__.py": "",
        "sindbad/deep/inner/leaf.py": "import json\n",
        "sindbad/deep/inner/models/weights.bin": "weights",
        "sindbad/deep/inner/README.md": "words",
        "sindbad/elsewhere/__init__.py": "",
        "sindbad/elsewhere/data.json": "{}",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(digest, "ROOT", tmp_path)
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    digest.code_digest.cache_clear()
    digest._imports.cache_clear()


def digest_now() -> str:
    forget()
    return digest.code_digest("pipelines.step")


def test_the_closure_follows_imports_inside_functions_and_takes_packages_along(tree: Path) -> None:
    found = {str(path.relative_to(tree)) for path in digest.closure("pipelines.step")}
    assert found == {
        "pipelines/step.py", "sindbad/__init__.py", "sindbad/used.py", "sindbad/onward.py",
        "sindbad/deep/__init__.py", "sindbad/deep/inner/__init__.py", "sindbad/deep/inner/leaf.py",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["pipelines/step.py", "sindbad/used.py", "sindbad/onward.py", "sindbad/deep/__init__.py", "constraints.txt",
     "sindbad/deep/inner/leaf.py", "sindbad/deep/inner/models/weights.bin"],
)  # fmt: skip
def test_changing_what_a_step_reaches_changes_its_digest(tree: Path, name: str) -> None:
    before = digest_now()
    path = tree / name
    path.write_text(path.read_text() + "\n# changed\n")
    assert digest_now() != before


@pytest.mark.parametrize(
    "name",
    ["sindbad/unused.py", "sindbad/elsewhere/__init__.py", "sindbad/elsewhere/data.json",
     "sindbad/deep/inner/README.md", "sindbad/deep/inner/__pycache__/leaf.pyc"],
)  # fmt: skip
def test_changing_what_it_never_sees_does_not(tree: Path, name: str) -> None:
    before = digest_now()
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("# changed\n")
    assert digest_now() == before


def test_renaming_a_reachable_file_changes_the_digest(tree: Path) -> None:
    before = digest_now()
    weights = tree / "sindbad/deep/inner/models/weights.bin"
    weights.rename(weights.with_name("other.bin"))
    assert digest_now() != before


def test_the_digest_of_a_real_stage_covers_the_loss_the_agent_and_the_prompts() -> None:
    found = {str(path.relative_to(digest.ROOT)) for path in digest._with_data(digest.closure("pipelines.stages.rl"))}
    assert {"sindbad/training/losses.py", "sindbad/agent/react.py", "pipelines/crew.py"} <= found
    assert any(name.startswith("sindbad/agent/prompts/") for name in found)
    assert not any(name.startswith(("services/", "tests/", "runs/")) for name in found)
