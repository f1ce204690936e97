"""Model cards: what a tuned, merged or quantised model inherits, and that a card changes nothing but README.md."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from sindbad.training.card import CARD, Part, card, parts_by_source, parts_of_data, parts_of_model, together
from sindbad.training.configuration import MergeConfig
from sindbad.training.merge import merge_folders
from sindbad.training.sft import load_causal_lm, save_model_folder
from sindbad.weights import WeightStore, config_digest
from sindbad.weights.card import front_matter
from sindbad.weights.folder import check_model_folder
from tests.unit.training.conftest import tiny_model

NC = Part("data set", "lamini", ("cc-by-nc-4.0", "apache-2.0"))
ALIKE = Part("data set", "scp116k", ("cc-by-sa-4.0",))
LIGHT = Part("translator", "r1", ("apache-2.0",))


def folder(path: Path, text: str = "", seed: int = 0) -> Path:
    """A tiny model with a card of its own."""
    tiny_model(seed).save_pretrained(str(path))
    (path / "tokenizer.json").write_text(json.dumps({"model": {"type": "WordLevel", "vocab": {"w0": 0}}}))
    if text:
        (path / CARD).write_text(text)
    return path


def test_the_licence_is_inherited_and_the_parts_can_be_read_back(tmp_path: Path) -> None:
    base = Part("base model", "LFM2: a base", ("mit",))
    text = card("sft", "Tuned.", (base, NC, LIGHT))
    place = folder(tmp_path / "m", text)
    assert front_matter(place)["license"] == "cc-by-nc-4.0"
    assert "- Non-commercial use only" in text
    assert parts_of_model(place) == (base, NC, LIGHT)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ()),
        ("# Just words\n", ()),
        ("---\nlanguage: en\n---\n# A\n", ()),
        ("---\nlicense: mit\n---\n\n# A model\n", (Part("base model", "A model", ("mit",)),)),
        ("---\nlicense: [mit, gpl-3.0]\n---\n", (Part("base model", "m", ("mit", "gpl-3.0")),)),
        (
            "---\nlicense: other\nlicense_name: lfm1.0\n---\n# L\n",
            (Part("base model", "L", ("lfm1.0",)),),
        ),
        ("---\nlineage: [{kind: data set, name: x}]\n---\n", (Part("data set", "x", ("unknown",)),)),
        ("---\nlineage: [x]\n---\n", (Part("part", "x", ("unknown",)),)),
    ],
)
def test_what_a_foreign_card_says_is_taken_as_far_as_it_goes(
    tmp_path: Path, text: str, parts: tuple[Part, ...]
) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / CARD).write_text(text)
    assert parts_of_model(tmp_path / "m") == parts


def test_a_side_that_says_nothing_counts_as_unknown_never_as_permissive() -> None:
    parts = together(("base model", "b", ()), ("data set", "d", (NC,)))
    assert parts == (Part("base model", "b", ("unknown",)), NC)
    assert "license: other" in card("x", "y", parts)
    assert together(("base model", "b", ()), ("data set", "d", ())) == ()
    assert card("x", "y", ()) == ""
    assert together(("a", "a", (NC, LIGHT)), ("b", "b", (LIGHT, ALIKE))) == (NC, LIGHT, ALIKE)


def test_data_that_is_no_export_has_no_parts(tmp_path: Path) -> None:
    (tmp_path / "lineage.json").write_text("{}")  # a cold-start set has one, too
    assert parts_of_data(tmp_path) == ()
    assert parts_of_data(tmp_path / "a.jsonl") == ()
    assert parts_by_source({"b": ["mit"], "a": ["x", "y"]}) == (
        Part("data set", "a", ("x", "y")),
        Part("data set", "b", ("mit",)),
    )


def test_a_merge_owes_what_both_sides_owe(tmp_path: Path) -> None:
    base = folder(tmp_path / "base", card("b", "Made.", (ALIKE,)))
    tuned = folder(tmp_path / "tuned", card("t", "Tuned.", (ALIKE, NC, LIGHT)), seed=1)
    merge_folders(base, tuned, tmp_path / "merged")
    assert parts_of_model(tmp_path / "merged") == (ALIKE, NC, LIGHT)
    assert front_matter(tmp_path / "merged")["license"] == "cc-by-nc-sa-4.0"
    merge_folders(tuned, base, tmp_path / "other", MergeConfig(t=0.1))
    assert front_matter(tmp_path / "other")["license"] == "cc-by-nc-sa-4.0"
    bare = folder(tmp_path / "bare", seed=2)
    merge_folders(bare, tuned, tmp_path / "half")
    assert parts_of_model(tmp_path / "half")[0] == Part("base model", "bare", ("unknown",))
    assert front_matter(tmp_path / "half")["license"] == "other"


def test_a_card_changes_no_other_file_and_no_digest(tmp_path: Path) -> None:
    made = {}
    for name, text in (("with", card("b", "Made.", (NC,))), ("without", "")):
        base, tuned = folder(tmp_path / name / "b", text), folder(tmp_path / name / "t", text, seed=1)
        merge_folders(base, tuned, tmp_path / name / "m")
        save_model_folder(load_causal_lm(base), base, tmp_path / name / "s", card=text)
        made[name] = {(one, file.name): file.read_bytes() for one in "ms" for file in (tmp_path / name / one).iterdir()}
        for one in "ms":
            check_model_folder(tmp_path / name / one)
    assert made["with"].keys() - made["without"].keys() == {("m", CARD), ("s", CARD)}
    assert {key: data for key, data in made["with"].items() if key[1] != CARD} == made["without"]
    assert config_digest(tmp_path / "with" / "m") == config_digest(tmp_path / "without" / "m")


def test_a_model_trained_on_from_one_with_a_card_passes_it_on(tmp_path: Path) -> None:
    base, bare = folder(tmp_path / "b", card("b", "Made.", (NC,))), folder(tmp_path / "bare")
    save_model_folder(load_causal_lm(base), base, tmp_path / "rl")
    assert parts_of_model(tmp_path / "rl") == (NC,)
    assert front_matter(tmp_path / "rl")["license"] == "cc-by-nc-4.0"
    save_model_folder(load_causal_lm(bare), bare, tmp_path / "none")
    assert not (tmp_path / "none" / CARD).exists()


def test_a_published_version_carries_the_card_and_its_weights_alone_do_too(tmp_path: Path) -> None:
    place = folder(tmp_path / "m", card("b", "Made.", (NC,)))
    shelf = WeightStore(tmp_path / "store")
    for version in (shelf.publish(place), shelf.publish(load_causal_lm(place).state_dict(), like=place)):
        version.verify()
        check_model_folder(version.path)
        assert parts_of_model(version.path) == (NC,)


def test_a_quantised_model_owes_what_its_source_was_made_of(tmp_path: Path) -> None:
    from sindbad.quantize.configuration import QuantizeConfig
    from sindbad.quantize.folder import quantise_folder
    from tests.unit.quantize.tiny import tiny_folder

    place = tiny_folder(tmp_path / "m", "lfm2")
    (place / CARD).write_text(card("t", "Tuned.", (Part("base model", "b", ("unknown",)), NC)))
    config = QuantizeConfig(backend="own")
    quantise_folder(place, tmp_path / "q", config)
    assert parts_of_model(tmp_path / "q") == parts_of_model(place)
    assert front_matter(tmp_path / "q")["license"] == "other"
    assert "Non-commercial use only" in (tmp_path / "q" / CARD).read_text()
    (told,) = [json.loads((tmp_path / "q" / "quantization.json").read_text())["licence"]["inherited"]]
    assert any("Non-commercial" in sentence for sentence in told)
    assert any("Unclear" in sentence for sentence in told)
    quantise_folder(place, tmp_path / "named", config, licence="mit")  # a word of the user's does not lift what is owed
    assert "Non-commercial use only" in (tmp_path / "named" / CARD).read_text()


def test_front_matter_is_yaml_that_other_programs_read() -> None:
    text = card("a: b", "c", (Part("data set", "x: [y]", ("cc-by-4.0",)),))
    head = yaml.safe_load(text.split("---")[1])
    assert head["lineage"] == [{"kind": "data set", "name": "x: [y]", "licences": ["cc-by-4.0"]}]
    assert head["license"] == "cc-by-4.0"
