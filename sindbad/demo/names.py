"""Invented names: pieces that are put together afresh in every world, and their fixed transliteration.

A first piece is consonant-vowel-consonant, a second one begins with a vowel, so a name divides into its pieces in one
way, in both scripts. The vowels a, o, i and twelve consonants map one to one onto Arabic letters.
"""

from __future__ import annotations

_FIRST = (
    "Dir Nof Bok Rom Bof Som Til Bal Nol Jal Dif Diz Rof Nik Jam Lan Jis Nok Tim Nif Zos Sam Zal Dar Jit Kir Kim Lon "
    "Dof Bat Fok Lik Rik Fir Zak Fiz Sak Loz Bas Kaf Tor Zif Tal Zar Taf Fas Mir Lam Jil Taz Mol Bin Sor Mil Kat Nar "
    "Ros Mor Mof Rin"
)
_NEXT = (
    "ad ak al am an ar as at id ik il im ir is it iz od ok ol om on os ot oz ada aka ali ama amo ano ara aso azi ida "
    "iko ilo ima imo ina ini ino isa isi iso ito oda oka oko olo oma omi omo oni ono ora ori osi ota oto ozo"
)

FIRST_PIECES = tuple(_FIRST.split(" "))
NEXT_PIECES = tuple(_NEXT.split(" "))
_LETTERS = dict(zip("bdfjklmnrstzaoi", "بدفجكلمنرستزاوي", strict=True))


def arabic_piece(piece: str) -> str:
    """Letter by letter; a name's Arabic form is the concatenation of its pieces' forms."""
    return "".join(_LETTERS[letter] for letter in piece.lower())


def arabic_name(name: str) -> str:
    """The Arabic form of an English name made from these pieces."""
    return " ".join(arabic_piece(word) for word in name.split(" "))
