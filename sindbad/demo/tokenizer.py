"""One tokenizer for all tiny models: Unigram with byte fallback, fixed phrases and name pieces as whole pieces.

Invariants:
* any text round-trips (unknown characters become bytes, our marker characters are escaped);
* a word has the same ids after a blank, after a quotation mark, at the start of a line and at the start of a text, so
  a name can be copied by its ids from a page into a JSON call or an answer;
* a text chunk is encoded alike whether it is encoded alone or follows a special token.

How: ``WORD`` (U+2581) stands before a word where a reader expects it, that is after one blank, or right at the start of
a chunk, a line or a quotation; a blank that really stands in one of the latter places is written ``BLANK`` (U+2423).
Multi-word pieces ("▁was▁born▁in") make pages short: a page of five sentences is about 35 tokens.
"""

from __future__ import annotations

import string
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from sindbad.agent.parsing import render_call
from sindbad.agent.prompts import PromptSet, load_prompts
from sindbad.demo.names import FIRST_PIECES, NEXT_PIECES, arabic_piece
from sindbad.languages import LANGUAGES, get_pack
from sindbad.translation.prompts import sentinels, translation_words

if TYPE_CHECKING:
    from tokenizers import Tokenizer, decoders, normalizers
    from transformers import PreTrainedTokenizerFast

WORD, BLANK, ESCAPE = "\u2581", "\u2423", "\u241b"
PAD, BEGIN, IM_START, IM_END = "<|pad|>", "<|startoftext|>", "<|im_start|>", "<|im_end|>"
TAGS = tuple(
    f"<{slash}{name}>" for name in ("think", "tool_call", "tool_response", "answer", "summary") for slash in ("", "/")
)
SPECIAL_TOKENS = (PAD, BEGIN, IM_START, IM_END, *TAGS)
MULTIPLE = 64

CHAT_TEMPLATE = (
    "{{- bos_token -}}{%- for message in messages -%}"
    "{{- ('' if loop.first else '\\n') + '<|im_start|>' + message['role'] -}}"
    "{{- '\\n' + message['content'] + '<|im_end|>' -}}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{- '\\n<|im_start|>assistant\\n' -}}{%- endif -%}"
)

_WORD_START = r"[\p{L}\p{N}]"
_OPENERS = '>"\n'
_BODY = "NAME"
_LETTERS_AR = "ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىي"
_SIGNS = "،؛؟«»ـًٌٍَُِّْ٠١٢٣٤٥٦٧٨٩–—’“”…"
_TOOL_WORDS = (
    "error no results the The page pages could not be loaded found timed out try again later there is tool call valid "
    "JSON HTTP server service unavailable temporarily busy read connection reset refused named missing with in of to "
    "and or for by on at too long took was closed a an it this that answer question search visit status title URL"
)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer as a Hugging Face object; equal on every call."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=_backend(),
        bos_token=BEGIN,
        eos_token=IM_END,
        pad_token=PAD,
        extra_special_tokens=[IM_START, *TAGS],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=4096,
    )


def padded_size(tokenizer: PreTrainedTokenizerFast) -> int:
    """Rows of the embedding: the vocabulary rounded up to a multiple of 64."""
    return -(-len(tokenizer) // MULTIPLE) * MULTIPLE


def save_tokenizer(directory: str | Path) -> None:
    """Write the tokenizer into a model folder; files already there with other names stay."""
    target = Path(directory)
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        build_tokenizer().save_pretrained(temporary)
        for file in sorted(Path(temporary).iterdir()):
            file.replace(target / file.name)


def _backend() -> Tokenizer:
    from tokenizers import AddedToken, Tokenizer, models

    tokenizer = Tokenizer(models.Unigram([("<unk>", -1000.0)], 0, True))
    tokenizer.normalizer = _normalizer()
    pieces = [("<unk>", -1000.0), *((f"<0x{byte:02X}>", -1000.0) for byte in range(256))]
    singles = dict.fromkeys(string.printable.replace("\x0b", "").replace("\x0c", "") + _LETTERS_AR + _SIGNS)
    pieces += [(char, -4.0) for char in (WORD, BLANK, ESCAPE, *singles)]
    known = {piece for piece, _ in pieces}
    pieces += [(piece, -3.0) for piece in dict.fromkeys(_whole_pieces(tokenizer)) if piece not in known]
    tokenizer.model = models.Unigram(pieces, 0, True)
    tokenizer.decoder = _decoder()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL_TOKENS])
    return tokenizer


def _normalizer() -> normalizers.Normalizer:
    from tokenizers import Regex, normalizers

    escapes = [(ESCAPE, "0"), (WORD, "1"), (BLANK, "2")]
    return normalizers.Sequence(
        [
            *(normalizers.Replace(char, ESCAPE + digit) for char, digit in escapes),
            *(normalizers.Replace(Regex(f"{opener} (?={_WORD_START})"), opener + BLANK) for opener in _OPENERS),
            *(normalizers.Replace(Regex(f"{opener}(?={_WORD_START})"), opener + WORD) for opener in _OPENERS),
            normalizers.Replace(Regex(f" (?={_WORD_START})"), WORD),
            normalizers.Prepend(WORD),
        ]
    )


def _whole_pieces(tokenizer: Tokenizer) -> list[str]:
    """Normalised text of every piece that is more than a character, most useful first."""

    def plain(text: str) -> str:
        return str(tokenizer.normalizer.normalize_str(text))

    fragments = [text for code in LANGUAGES for text in get_pack(code).fragments()]
    words = [word for text in (*fragments, *_prompt_texts(load_prompts("demo")), _TOOL_WORDS) for word in text.split()]
    first = [form for piece in FIRST_PIECES for form in (piece, arabic_piece(piece))]
    rest = [form for piece in NEXT_PIECES for form in (piece, arabic_piece(piece))]
    roles = ["\n", *(f"{role}\n" for role in ("system", "user", "assistant", "tool"))]
    translator = [*map(plain, translation_words()), *sentinels()]  # a sentinel is one id wherever it stands
    return [*_call_pieces(plain), *map(plain, (*roles, *fragments, *first)), *rest, *map(plain, words), *translator]


def _call_pieces(plain: Callable[[str], str]) -> list[str]:
    """The JSON around the values of a tool call."""
    calls = (render_call("visit", {"urls": [_BODY], "goal": _BODY}), render_call("search", {"query": [_BODY]}))
    return [piece for call in calls for piece in plain(call).split(WORD + _BODY)]


def _prompt_texts(prompts: PromptSet) -> Iterable[str]:
    for language in prompts.languages.values():
        for text in (language.system, language.summary_system, language.restart_notice):
            yield text.replace("{", " ").replace("}", " ")


def _decoder() -> decoders.Decoder:
    from tokenizers import Regex, decoders

    return decoders.Sequence(
        [
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Replace(Regex(f"(?<=[{_OPENERS}]){WORD}"), ""),
            decoders.Replace(Regex(rf"\A{WORD}"), ""),
            decoders.Replace(WORD, " "),
            decoders.Replace(BLANK, " "),
            decoders.Replace(ESCAPE + "2", BLANK),
            decoders.Replace(ESCAPE + "1", WORD),
            decoders.Replace(ESCAPE + "0", ESCAPE),
        ]
    )
