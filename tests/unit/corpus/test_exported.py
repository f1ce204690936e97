"""An exported data set read back, and three commands that take it: training, contamination, the translator's text."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
import yaml
from typer.testing import CliRunner

from sindbad.agent import store
from sindbad.cli import evaluate_texts, merge, train
from sindbad.cli.train_data import read_examples
from sindbad.corpus import exported
from sindbad.corpus.export import export, four_tuple
from sindbad.corpus.job import local_store
from sindbad.corpus.parallel import ParallelFile, licences_of, read_parallel
from sindbad.corpus.records import InstructionRecord, Message, Provenance, write_training_rows
from sindbad.corpus.translate import translate_corpus
from sindbad.demo.tokenizer import build_tokenizer
from sindbad.errors import Corrupt, InvalidInput, NotFound
from sindbad.training.card import Part, parts_of_model
from sindbad.training.examples import examples_of_conversations, read_conversations
from sindbad.translation.small_models import save_tokenizer
from sindbad.weights import WeightStore
from sindbad.weights.folder import check_model_folder
from tests.unit.corpus.jobs import FAST, Perfect, job, records
from tests.unit.training.conftest import random_trajectory, tiny_model
from tests.unit.translation.scripted import into_arabic

SAID = ["Bokadi was born in Diramo.", "Let me search.", "Bokadiadi was born in Diramo.", "Let me search."]


def conversation(name: str, *turns: tuple[str, str], licence: str = "cc-by-nc-4.0") -> InstructionRecord:
    messages = tuple(Message(role, text) for role, text in turns)
    return InstructionRecord(name, "en", messages, Provenance("long", name, (licence,)), {})


LONG = conversation(
    "long-1", ("system", SAID[0]), ("assistant", SAID[1]), ("user", SAID[2]), ("assistant", SAID[3]),
    ("user", SAID[0]), ("assistant", SAID[2]),
)  # fmt: skip
UNANSWERED = conversation("long-2", ("assistant", SAID[1]), ("user", SAID[0]))


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three single exchanges, one long conversation, one that nobody answers."""
    folder = tmp_path_factory.mktemp("corpus")
    one = job(local_store(folder / "job"))
    asyncio.run(translate_corpus(one, [*records(3), LONG, UNANSWERED], Perfect(), settings=FAST))
    contents = export(one, folder / "set")
    assert (contents.rows, contents.tuples) == (5, 4)
    return folder / "set"


def arabic(record: InstructionRecord) -> tuple[tuple[str, str], ...]:
    return tuple((role, into_arabic(text)) for role, text in record.turns)


def test_every_turn_of_every_row_comes_back_in_both_languages(exports: Path) -> None:
    wanted = [(arabic(row), row.turns) for row in (*records(3), LONG, UNANSWERED)]
    (file,) = (exports / "data").glob("*.parquet")
    for path in (exports, file):
        assert list(exported.read_conversations(path)) == wanted


def test_a_four_tuple_takes_the_answer_after_the_first_question_never_the_greeting(exports: Path) -> None:
    rows = list(exported.read_pairs(exports))
    assert rows[6:] == [(SAID[2], into_arabic(SAID[2])), (SAID[3], into_arabic(SAID[3]))]
    assert len(rows) == 8  # nothing answers the last conversation's question
    assert four_tuple(UNANSWERED, UNANSWERED) is None
    with pytest.raises(InvalidInput, match="long-2 has no answer"):
        UNANSWERED.prompt_and_completion()


def test_lineage_is_found_from_the_folder_and_from_its_files(exports: Path) -> None:
    (pairs,) = (exports / "pairs").glob("*.parquet")
    assert exported.export_of(exports) == exported.export_of(pairs) == exports
    assert exported.export_of(exports / "README.md") is None
    assert exported.licences_of(exports) == ("Apache-2.0", "cc-by-nc-4.0", "MIT")


def test_training_rows_keep_a_single_exchange_as_a_pair_and_everything_else_whole(tmp_path: Path) -> None:
    write_training_rows(tmp_path / "a.jsonl", [*records(1), LONG])
    first, second = map(json.loads, (tmp_path / "a.jsonl").read_text().splitlines())
    assert first == {"prompt": records(1)[0].messages[0].content, "completion": SAID[1]}
    assert [one["role"] for one in second["messages"]] == [role for role, _ in LONG.turns]
    assert list(read_conversations(tmp_path / "a.jsonl")) == [records(1)[0].turns, LONG.turns]


# -- sindbad train sft -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_tokenizer(build_tokenizer(), folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "lfm2"}))
    return folder


def test_training_reads_an_export_as_whole_conversations_in_the_target_language(exports: Path, model: Path) -> None:
    rows = [arabic(row) for row in (*records(3), LONG, UNANSWERED)]
    wanted = list(examples_of_conversations(build_tokenizer(), rows))
    (file,) = (exports / "data").glob("*.parquet")
    for data in (exports, file):
        assert list(read_examples(model, data, None)) == wanted
    most = len(wanted[3]) - 1
    assert [len(made) <= most for made in read_examples(model, exports, most)] == [True] * 5


@pytest.mark.slow
def test_a_model_trained_on_an_export_and_its_merge_say_what_they_owe(exports: Path, tmp_path: Path) -> None:
    words = build_tokenizer()
    tiny_model(0, vocabulary=len(words)).save_pretrained(str(tmp_path / "base"))
    save_tokenizer(words, tmp_path / "base")
    sft = {"steps": 2, "checkpoint_every": 2, "optimiser": {"lr": 0.01}}
    stage = {"kind": "sft", "name": "mini", "model": str(tmp_path / "base"), "data": str(exports), "sft": sft}
    (tmp_path / "mini.yaml").write_text(yaml.safe_dump({"name": "mini", "source": "a test", "stages": [stage]}))
    app = typer.Typer()
    app.add_typer(train.app, name="train")
    app.command()(merge.merge)
    run = CliRunner()
    done = run.invoke(app, ["train", "sft", "--recipe", str(tmp_path / "mini.yaml"), "--run", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    version = WeightStore(tmp_path / "run" / "models" / "mini").current()
    assert version is not None
    version.verify()
    check_model_folder(version.path)
    parts = parts_of_model(version.path)
    assert parts == (
        Part("base model", "base", ("unknown",)),
        Part("data set", "long", ("Apache-2.0", "cc-by-nc-4.0")),
        Part("data set", "t", ("Apache-2.0", "MIT")),
        Part("translator", "light-1", ("Apache-2.0",)),
    )
    done = run.invoke(app, ["merge", str(tmp_path / "base"), str(version.path), str(tmp_path / "merged")])
    assert done.exit_code == 0, done.output
    assert set(parts_of_model(tmp_path / "merged")) == set(parts)
    assert "Non-commercial use only" in (tmp_path / "merged" / "README.md").read_text()


def test_training_reads_shards_and_folders_of_shards(tmp_path: Path, model: Path) -> None:
    for step in range(2):
        store.append(tmp_path / f"step-{step}", [random_trajectory(f"t{step}", "g", 1.0)])
    both = read_examples(model, tmp_path, None)
    apart = [example for step in range(2) for example in read_examples(model, tmp_path / f"step-{step}", None)]
    assert list(both) == apart
    assert len(apart) == 2


def test_what_is_nothing_to_train_on_is_said(tmp_path: Path, exports: Path, model: Path) -> None:
    with pytest.raises(InvalidInput, match=r"neither trajectories .* nor an exported data set"):
        read_examples(model, tmp_path, None)
    with pytest.raises(InvalidInput, match=r"neither trajectories .* nor an exported data set"):
        read_examples(model, exports / "data", None)
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(InvalidInput, match=r"empty\.jsonl holds nothing to train on"):
        read_examples(model, tmp_path / "empty.jsonl", None)
    (pairs,) = (exports / "pairs").glob("*.parquet")
    with pytest.raises(InvalidInput, match="no column messages, messages_source; it has instr_ar"):
        read_examples(model, pairs, None)
    (tmp_path / "x.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(Corrupt, match="no readable Parquet file"):
        read_examples(model, tmp_path / "x.parquet", None)
    with pytest.raises(NotFound, match="nothing at"):
        list(exported.read_conversations(tmp_path / "away"))


def test_an_export_without_a_row_says_so_everywhere(tmp_path: Path, model: Path) -> None:
    one = job(local_store(tmp_path / "job"))
    asyncio.run(translate_corpus(one, records(1), Perfect(lambda text: ""), settings=FAST))
    assert export(one, tmp_path / "set").rows == 0
    with pytest.raises(InvalidInput, match="export without a row"):
        read_examples(model, tmp_path / "set", None)
    with pytest.raises(InvalidInput, match="export without a pair"):
        list(exported.read_pairs(tmp_path / "set"))


# -- sindbad evaluate contamination ------------------------------------------------------------------------------------


def contamination(items: Path, training: Path, tmp_path: Path) -> dict[str, Any]:
    app = typer.Typer()
    app.command()(evaluate_texts.contamination)
    out = tmp_path / "out.json"
    done = CliRunner().invoke(app, [str(items), "--training", str(training), "--n", "3", "--json", str(out)])
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def test_contamination_reads_what_is_said_in_an_export_in_both_languages(exports: Path, tmp_path: Path) -> None:
    asked = [
        into_arabic(SAID[2]),
        SAID[2],
        "Where does the long river that nobody knows begin?",
        "cc-by-nc-4.0 long MIT",
    ]
    rows = [{"id": f"acva-{n}", "question": text, "answer": "صح"} for n, text in enumerate(asked)]
    items = tmp_path / "items.jsonl"
    items.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (file,) = (exports / "data").glob("*.parquet")
    for training in (exports, file):
        found = contamination(items, training, tmp_path)
        assert found["texts"] == 5
        assert {hit["item_id"] for hit in found["hits"]} == {"acva-0", "acva-1"}


def test_contamination_reads_every_string_of_another_parquet_file(exports: Path, tmp_path: Path) -> None:
    items = tmp_path / "items.jsonl"
    items.write_text(json.dumps({"id": "a", "question": SAID[2], "answer": "صح"}) + "\n")
    (pairs,) = (exports / "pairs").glob("*.parquet")
    found = contamination(items, pairs, tmp_path)
    assert (found["texts"], len(found["hits"])) == (4, 1)


def test_contamination_refuses_a_folder_that_is_no_export(tmp_path: Path) -> None:
    items = tmp_path / "items.jsonl"
    items.write_text(json.dumps({"id": "a", "question": SAID[2], "answer": "صح"}) + "\n")
    app = typer.Typer()
    app.command()(evaluate_texts.contamination)
    done = CliRunner().invoke(app, [str(items), "--training", str(tmp_path)])
    assert done.exit_code == 1
    assert "no exported data set" in done.output


# -- the translator's training text ------------------------------------------------------------------------------------


def test_the_translator_is_trained_on_an_exports_pairs_and_inherits_its_licences(exports: Path) -> None:
    (pairs,) = (exports / "pairs").glob("*.parquet")
    for path in (exports, pairs):
        file = ParallelFile(path=path.relative_to(exports.parent), licence="own")
        assert read_parallel(exports.parent, file, training=True) == list(exported.read_pairs(exports))
        assert licences_of(exports.parent, file) == ["own", "Apache-2.0", "cc-by-nc-4.0", "MIT"]


def test_a_parquet_of_parallel_text_is_read_by_its_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"en": ["A", "B "], "ar": ["ا", "ب"]}), tmp_path / "a.parquet")
    file = ParallelFile(path=Path("a.parquet"), licence="CC0")
    assert read_parallel(tmp_path, file, training=True) == [("A", "ا"), ("B", "ب")]
    assert licences_of(tmp_path, file) == ["CC0"]
    with pytest.raises(InvalidInput, match="has no texts 'fr' and 'ar'; it has ar, en"):
        read_parallel(tmp_path, file.model_copy(update={"source_column": "fr"}), training=True)
    with pytest.raises(InvalidInput, match="no exported data set"):
        read_parallel(tmp_path.parent, ParallelFile(path=Path(tmp_path.name), licence="CC0"), training=True)
