"""English words: articles, and nouns whose adjective comes last."""

from __future__ import annotations

import re
import unicodedata

_PAIR_WORDS = frozenset(
    {"eyeglasses", "glasses", "sunglasses", "goggles", "scissors", "pliers", "headphones", "binoculars"}
)


# Adjectives that names put last to sort by the noun ("kettle electric"). No noun phrase of English ends in them.
_ADJECTIVES = frozenset({
    "electric", "electrical", "electronic", "automatic", "manual", "cordless", "portable", "wooden", "foldable",
    "mobile", "digital", "acoustic", "antique", "modern", "vintage", "domestic", "wild", "arctic", "african", "asian",
    "american", "european", "japanese",
})  # fmt: skip


def noun_phrase(name: str) -> str:
    """A name as a noun phrase: an adjective at its end moves to the front.

    >>> noun_phrase("kettle electric"), noun_phrase("golden retriever"), noun_phrase("electric")
    ('electric kettle', 'golden retriever', 'electric')
    """
    words = name.split()
    if len(words) > 1 and words[-1].casefold() in _ADJECTIVES:
        words = [words[-1], *words[:-1]]
    return " ".join(words)


def with_article(noun: str) -> str:
    """`noun` with "a", "an" or, for things that are plural, "a pair of".

    >>> with_article("ox"), with_article("unicycle"), with_article("f1 car"), with_article("eyeglasses")
    ('an ox', 'a unicycle', 'an f1 car', 'a pair of eyeglasses')
    """
    words = noun.casefold().split()
    if words and words[-1] in _PAIR_WORDS:
        return f"a pair of {noun}"
    return f"{'an' if _vowel_sound(words[0] if words else '') else 'a'} {noun}"


def _vowel_sound(word: str) -> bool:
    """Whether a word begins with a vowel when spoken, by the letters it begins with."""
    plain = unicodedata.normalize("NFKD", word)
    if re.match(r"(uni(?!m|n)|use|usu|ut[ei]|uk|eu|ewe|one|once)", plain):
        return False
    if re.match(r"(hour|honest|heir)", plain):
        return True
    if re.match(r"([bcdfghjklmnpqrstvwxyz]\d|[fhlmnrsx]-)", plain):  # a letter said by its name: f1 car, x-ray
        return plain[0] in "fhlmnrsx"
    return plain[:1] in tuple("aeiou8")
