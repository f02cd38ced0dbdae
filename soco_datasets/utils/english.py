"""English words: articles."""

from __future__ import annotations

import re
import unicodedata

_PAIR_WORDS = frozenset(
    {"eyeglasses", "glasses", "sunglasses", "goggles", "scissors", "pliers", "headphones", "binoculars"}
)


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
