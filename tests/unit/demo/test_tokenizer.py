from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from sindbad.agent.chat import ChatTokenizer
from sindbad.agent.parsing import render_call
from sindbad.agent.prompts import load_prompts
from sindbad.demo.tokenizer import SPECIAL_TOKENS, build_tokenizer, padded_size, save_tokenizer
from sindbad.demo.world import build_world
from sindbad.languages import LANGUAGES


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer()


@pytest.fixture(scope="module")
def chat(tokenizer: PreTrainedTokenizerFast) -> ChatTokenizer:
    return ChatTokenizer.from_hf(tokenizer, load_prompts("demo"))


NASTY = [
    "<think> a",
    "> a",
    '" a',
    '"a',
    "\n a",
    "\na",
    " a",
    "  a",
    "<0x41>",
    "▁a ▁",
    "␣␛2",
    "␛1",
    "<unk>",
    "日本",
    "a\tb\r\n",
    "\x00é",
]


@settings(max_examples=300, deadline=None)
@given(st.text() | st.lists(st.sampled_from(NASTY)).map("".join))
@example("".join(NASTY))
def test_any_text_round_trips_with_special_tokens_disabled(chat: ChatTokenizer, text: str) -> None:
    clean = text.encode("utf-8", "replace").decode("utf-8")
    ids = chat.encode_text(clean)
    assert chat.text(ids) == clean
    assert not set(ids) & set(chat.special_ids.values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_name_has_the_same_ids_wherever_it_stands(chat: ChatTokenizer, language: str) -> None:
    world = build_world(2)
    for name in list(world.names(language).values())[::5]:
        ids = chat.encode_text(name)
        assert 2 <= len(ids) <= 3
        call = render_call("visit", {"urls": [name], "goal": "x"})
        for text in (f"about {name}.", f"{name}: {name}", f"x\n{name}", call, f'"{name}"'):
            found = chat.encode_text(text)
            assert any(found[i : i + len(ids)] == ids for i in range(len(found)))


def test_text_is_encoded_alike_alone_and_after_a_special_token(
    tokenizer: PreTrainedTokenizerFast, chat: ChatTokenizer
) -> None:
    turn = chat.assistant_turn(
        "Mirota Rin was born in Talim.", tool_call=render_call("visit", {"urls": ["Talim"], "goal": "lies in"})
    )
    assert tokenizer.encode(chat.text(turn), add_special_tokens=False) == turn
    assert tokenizer.decode(turn) == chat.text(turn)
    assert len(turn) < 30
    messages = [{"role": "system", "content": "research"}, {"role": "user", "content": "Which city?"}]
    rendered = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert tokenizer.encode(rendered, add_special_tokens=False) == chat.segment_prompt("Which city?", "en")


def test_specials_are_single_ids_and_the_vocabulary_is_padded(tokenizer: PreTrainedTokenizerFast) -> None:
    for token in SPECIAL_TOKENS:
        assert tokenizer.encode(token, add_special_tokens=False) == [tokenizer.convert_tokens_to_ids(token)]
    assert padded_size(tokenizer) % 64 == 0
    assert len(tokenizer) <= padded_size(tokenizer) < 1024


@pytest.mark.parametrize("language", LANGUAGES)
def test_pages_are_short(chat: ChatTokenizer, language: str) -> None:
    pages = build_world(5).pages(language)
    assert sum(len(chat.encode_text(page.text)) for page in pages) / len(pages) < 45


def test_it_survives_saving_and_loading_as_a_model_folder(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    save_tokenizer(tmp_path / "model")
    loaded = AutoTokenizer.from_pretrained(tmp_path / "model")
    text = '<think>Marota Lin ولد في تافيل.</think><tool_call>{"name": "search"}</tool_call><|im_end|>'
    assert loaded.encode(text) == tokenizer.encode(text)
    assert loaded.decode(loaded.encode(text)) == text
    assert (loaded.bos_token, loaded.eos_token, loaded.pad_token) == ("<|startoftext|>", "<|im_end|>", "<|pad|>")
    assert loaded.chat_template
