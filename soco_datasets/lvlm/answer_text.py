"""An answer as plain words with marked letters: "**Answer:** Point B or C" becomes "answer: @BC".

Markup, tags, brackets, quotes, adverbs and what stands beside a letter as its name ("option", "the point labeled")
say nothing about which letter is the answer. They are removed once, so that the rules of `answer_claims` stay short.
"""

from __future__ import annotations

import re
import unicodedata

_THOUGHT = re.compile(
    r"^.*[<◁]/(?:think(?:ing)?|thought)[>▷]|[<◁](?:think(?:ing)?|thought)[>▷].*$", re.DOTALL | re.IGNORECASE
)
_STRUCK = re.compile(r"~~[^~\n]{1,200}~~|<(s|del|strike)>.{1,200}?</\1>", re.IGNORECASE)
_ANSWER_TAG = re.compile(r"<(?:final[_ ]?)?answer>|\[(?:final[_ ]?)?answer\]", re.IGNORECASE)
_CLOSING = re.compile(r"</(?:[a-z][\w-]+|s)>|\[/[a-z]+\]|<\|[^|<>]*\|>|<end_of_turn>", re.IGNORECASE)
_OPENING = re.compile(r"<[A-Za-z][\w-]+(?:\s[^<>]{0,200})?/?>|</?[a-z](?:\s[^<>]{0,200})?/?>")
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufe0e\ufe0f\u00ad]")
_SIGNS = {**dict.fromkeys("✓✔✅☑", " yes "), **dict.fromkeys("✗✘❌✖☒", " no ")}
_FOREIGN = {**dict(zip("。、【】「」", ".,[][]", strict=True)), **dict.fromkeys("‘’´“”„«»", '"'), "’": "'", "@": " "}
_SPELLED = str.maketrans({**_SIGNS, **_FOREIGN})
_FORMULA = re.compile(r"\\(?:text|math)?(?:text|bf|it|rm|sf|tt)\b\s*|\\(?:text|emph)\b\s*|\\[,;:! ]|\\q?quad\b|~(?!~)")
_DECORATION = re.compile(r"[*_`$~<>|\\{}]+|(?<![A-Za-z])#+|^\s*[-•]\s+|^\s*\d{1,2}[.)]\s+(?=\(?[A-Z]\b)", re.MULTILINE)
_ARROW = re.compile(r"[=-]{1,2}>|[→⇒➜👉]")
_CUT_ITEM = re.compile(r"(?<=\S)\s*\n\s*[(\[]\s*[A-Z]\s*$")  # a text that was cut within "(D) Point D"

# A letter with what names it. Behind a bare "A" something must stand that cannot follow an article.
_NAME = (
    r"(?i:options?|choices?|(?:key)?points?|letters?|labels?|candidates?|markers?|dots?|circles?"
    r"|locations?|positions?"
    r"|punkte?|punto|ponto|opción|opção|opzione|lettre|letra|точка|вариант)"
)
_SMALL_NAMED = r"\((?P<small>[a-d])\)(?![\w(])"
_MENTION = re.compile(
    rf"(?<![A-Za-z0-9_À-ɏ'.+-])(?P<name>(?:{_NAME}\s*[:#-]?\s*|[点點]|选项|選項"
    rf"|選択肢)?)(?P<open>(?:[(\[\"']{{1,3}}\s?)?)"
    rf"(?<![A-Za-z0-9_À-ɏ+-])(?:(?P<letter>[A-Z])(?P<close>\s?[)\]\"']{{1,3}}|)(?:选项|選項"
    rf"|[点點])?(?![A-Za-z0-9_À-ɏ'+]|-\w))"
    rf"|(?<![\w)]){_SMALL_NAMED}"
)
_NO_ARTICLE = re.compile(
    r"\s*$|\s+(?-i:[B-D]\b)|\s*[.,;:!?)\]\n(/&=\"]|\s*[–—]|\s+-|-\s|\s*[^\x00-\x7f]|\s+(?:because|since|as"
    r"|for|which|that|not|in|on|at|by"
    r"|based|is|are|was|seems|appears|looks|would|must|should|has|matches|match|corresponds?|and|or|but"
    r"|though|although"
    r"|while|rather|instead|from|with|due|over|where|given|sits|aligns|refers|equals|maps|shares|occupies"
    r"|falls|belongs"
    r"|exactly|clearly|definitely|then|too|also|porque|weil|parce|perché|richtig|korrekt|ist|es|est|oder"
    r"|und|noch|ou|ni"
    r"|the|marks?|shows?|represents?|lies?|to|here|there|after|if|when|both|can|could|cannot|might|may"
    r"|will|does|than"
    r"|likely|probably|it|makes|fits|remains|works|best|yes|no|better|correct|incorrect|wrong"
    r"|correspond[a-z]*|entspricht"
    r"|so|only|alone|nor|nicht|sondern|looked|feels|I\s+(?:think|guess|believe|suppose))\b",
    re.IGNORECASE,
)
_OTHER_NAME = re.compile(  # "image B", "vitamin C", "the dog's name is B"
    r"\b(?:platform|gate|track|terminal|exit|room|building|hall|seat|zone|block|lane|key|note|image"
    r"|picture|photo|figure"
    r"|fig\.?|object|vitamin|class|grade|size|type|plan|section|part|step|car|model|version|team|group|row"
    r"|column"
    r"|batter(?:y|ie)|name|badge|plate|mr\.?|ms\.?|e\.g\.?|category|level|mode|usb|hepatitis|bild|imagen|foto)s?\s*$"
    r"|\b(?:(?:name|badge|plate)\s+is|reads|says|written|panel)\s*$",
    re.IGNORECASE,
)
_OTHER_USE = re.compile(r"\s?(?:major|minor|pillar|post|ring|clamp|class|Dylan)\b|\.[A-Za-z]|/C\s+unit")

_RANKED = re.compile(r"\b([A-D])(?=(?:\s*>\s*[A-D]\b){2})")  # "B > A > C"
_REPLY = re.compile(r"\?\s*A: ?(?=\W?[A-D]\b)")  # "Q: Which point? A: C"
_ITEM = re.compile(r"^(@[A-Z])[.)](?= ?(?!(?:or|and|nor)\b)\w)", re.MULTILINE)

_CONTRACTIONS = (
    (re.compile(r"n't\b|\bcannot\b"), " not"),
    (re.compile(r"\blet's\b"), "let us"),
    (re.compile(r"(?<=\w)'s\b"), " is"),
    (re.compile(r"(?<=\w)'d\b"), " would"),
    (re.compile(r"(?<=\w)'ll\b"), " will"),
    (re.compile(r"(?<=\w)'m\b"), " am"),
    (re.compile(r"(?<=\w)'re\b"), " are"),
)
_SAID = (
    r"(?:clearly|definitely|certainly|obviously|(?:quite |very |most )?(?:probably|likely)"
    r"|almost certainly|surely"
    r"|undoubtedly|indeed|simply|just|actually|really|apparently|evidently|presumably|still|also|in fact"
    r"|of course"
    r"|in my opinion|in my view|of these|here|again|exactly|precisely|slightly|much|far|by far|strongly)"
)
_ADVERB = re.compile(rf",\s*\b(?:{_SAID}|then|thus|therefore|hence|however)\b\s*,|\b{_SAID}\b,?(?!-)")
_SOURCE = (
    r"(?:(?:the|this)\s+)?(?:(?:first|1st|source|reference|left)\s+(?:image|picture|photo)|(?:image"
    r"|picture|photo)\s+(?:1|one)\b)"
)
_TARGET = (
    r"(?:(?:the|this)\s+)?(?:(?:second|2nd|target|other|right)\s+(?:image|picture|photo(?:graph)?|one)"
    r"|(?:image|picture|photo)\s+(?:2|two)\b|target\b(?!\s+\w))"
)
_POINT_OF_SOURCE = re.compile(rf"@[A-Z] (?:in|of|from|on) {_SOURCE}")
_IMAGE = re.compile(rf",?\s*\b(?:in|of|from|on|within) (?:{_SOURCE}|{_TARGET})")
_LABELED = re.compile(
    r"\b(?:the |that )?(?:point|one|dot|circle|location|spot|position|place|option|part|candidate"
    r"|marker)s? (?:which is |that is )?"
    r"(?:labell?ed|marked|denoted|designated|tagged|indicated|identified|called|named)(?: (?:as|by"
    r"|with))?\s*(?:the )?(?=@)"
)
_ARTICLE = re.compile(r"\b(?:the|la|le|el|il|lo|der|die|das|den|dem|o|l')\s*(?=@)")
_REMARK = re.compile(r"(@[A-Z]+)\s*[(\[][^()\[\]@\n]{1,80}[)\]]")
_ECHO = re.compile(r"(@[A-Z])(?:\s*[.:)=-]+\s*|\s+)\1\b(?!\s*:)")  # "B. Point B"
_ALL_OPTIONS = re.compile(
    r"@A[.:;,)]*\s+@B[.:;,)]*\s+@C[.:;,)]*\s+@D\b(?!\s*[:=] |\s+(?:is|has|matches|corresponds"
    r"|fits)\b)[.:;,)]*"
)
_RANGE = re.compile(r"@A\s?(?:-|–|to|through|bis|到|至)\s?@D\b|@ABCD\b")
_JOINED = re.compile(
    r"@([A-Z]+)(?P<by>\s*[,/|&]\s*| ?(?=@)|\s*[,.]?\s*\b(?:and/or|and|or|nor|as well as|plus|und|oder|noch|et|ou|ni|y"
    r"|e)\b\s*|\s*(?:和|或|还是|與|与|と|か)\s*)"
    r"(?:(?:maybe|perhaps|possibly|even|either|also|then)\s+)?@([A-Z])(?P<verb>\s+(?:is|seems|looks"
    r"|matches|fits|corresponds|would|lies|must|has|appears|sits|does|was|works)\b)?"
)


def without_thought(text: str) -> str:
    """A text without what a model thinks: all before the last </think>, or behind a <think> that is never closed.

    >>> without_thought("<think>A or B?</think>B"), without_thought("B<think>or"), without_thought("B")
    ('B', 'B', 'B')
    """
    return _THOUGHT.sub("", text)


def without_markup(text: str) -> str:
    r"""A text without tags, struck words, invisible characters and LaTeX fonts; `\boxed` stays.

    >>> without_markup("<b>B</b>"), without_markup("[ANSWER]B[/ANSWER]").strip(), without_markup("~~A~~ \\textbf{Ｂ}")
    ('B', 'Answer: B', ' {B}')
    """
    kept = _STRUCK.sub(" ", text)
    words = _OPENING.sub("", _CLOSING.sub("\n", _ANSWER_TAG.sub("\nAnswer: ", kept if kept.strip() else text)))
    words = unicodedata.normalize("NFKC", words).translate(_SPELLED)
    words = _INVISIBLE.sub("", _ARROW.sub(" = ", words))
    words = "".join(sign for sign in words if unicodedata.category(sign) != "So")  # a hand beside the letter
    words = _CUT_ITEM.sub("", _FORMULA.sub(" ", words))
    return re.sub(r"\s*\n\s*", "\n", re.sub(r"[^\S\n]+", " ", words))


def marked_letters(text: str) -> str:
    """A text in small letters, its options as "@B", options beside each other as "@BC", without what says nothing.

    >>> marked_letters("It is most likely **Point B** or (C)."), marked_letters("A wheel. It is the dot labeled A.")
    ('it is @BC.', 'a wheel. it is @A.')
    """
    words = _mark(_spaced(_DECORATION.sub(" ", _RANKED.sub(r"\1 over", _REPLY.sub("? Answer: ", text)))))
    for pattern, full in _CONTRACTIONS:
        words = pattern.sub(full, words)
    words = _LABELED.sub("", _ADVERB.sub(" ", words))
    words = _IMAGE.sub(" ", _POINT_OF_SOURCE.sub("the marked point", words))
    words = _ECHO.sub(r"\1", _spaced(_ARTICLE.sub("", words)))
    words = _ALL_OPTIONS.sub("", _ITEM.sub(r"\1:", words))
    while (joined := _JOINED.sub(_join, words)) != words:
        words = joined
    words = words.replace("°", "")
    words = re.sub(r"(@[A-Z]{2,}),(?= (?:are|do|can|were|have)\b)", r"\1", _RANGE.sub("", words))
    return _spaced(_REMARK.sub(r"\1", words)).strip()


def _spaced(text: str) -> str:
    """A text with single spaces, none before punctuation."""
    return re.sub(r" (?=[.,:;!?])", "", re.sub(r"[^\S\n]+", " ", text))


def _mark(text: str) -> str:
    """A text in small letters but for its options: "Point B" is "@B", "(B) the mirror", an item, "@B: the mirror"."""
    pieces, start = [], 0
    for match in _MENTION.finditer(text):
        if _is_option(match):
            pieces += [text[start : match.start()].lower(), "@" + (match["letter"] or match["small"]).upper()]
            start = match.end()
            item = ")" in (match["close"] or "") and not _NO_ARTICLE.match(text[start : start + 40])
            pieces += [":" if item else " " if text[start : start + 1].isalpha() else ""]
    return "".join(pieces) + text[start:].lower()


def _is_option(match: re.Match[str]) -> bool:
    """Whether a lone letter is an option, not an article, a name or part of another word."""
    if match["small"]:
        return True
    before, after = match.string[: match.start()][-40:], match.string[match.end() :][:40]
    named, closed = match["name"].strip(), match["close"].strip()
    if not closed and (
        match["letter"] == "I" or (match["letter"] == "A" and not named and not _NO_ARTICLE.match(after))
    ):
        return False
    return not _OTHER_NAME.search(before) and not _OTHER_USE.match(after)


def _join(match: re.Match[str]) -> str:
    """Two options beside each other as one group, not where a clause begins with the second: "Not A, B is right"."""
    first, second = match[1], match[3]
    if second in first or (match["verb"] and match["by"].strip(" ,.") in ("", "and") and len(first) == 1):
        return match[0]
    closed = "°" if re.search(r"\w", match["by"]) else ""  # behind "A, C and D" no further one follows
    return f"@{first}{second}{closed}{match['verb'] or ''}"
