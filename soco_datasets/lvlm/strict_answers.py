"""The strict reading of an answer: a letter, only where the text gives it as its answer."""

from __future__ import annotations

import re
import unicodedata

from .letter_mentions import ADVERB, FOLLOWS, RIGHT, affirmed_letter, is_rejected, is_unreal

_LONGEST = 20_000  # characters; of a longer answer only its end is read, so that a hostile one takes no hours
_NEAR = 300  # characters of a sentence around a letter

# What stands around words: removed, or turned into plain text, before anything is read.
_THOUGHT = re.compile(r"^.*[<◁]/think(?:ing)?[>▷]|[<◁]think(?:ing)?[>▷].*$", re.DOTALL | re.IGNORECASE)
_ANSWER_TAG = re.compile(r"<(?:final[_ ]?)?answer>|\[(?:final[_ ]?)?answer\]", re.IGNORECASE)
_TAGGED = re.compile(r"<(?:final[_ ]?)?answer>\s*([a-d])\s*</(?:final[_ ]?)?answer>", re.IGNORECASE)
_FIELD = re.compile(  # of a JSON object
    r"[\"'](?:(?:final|correct|best|selected|chosen|predicted)?[_ ]?(?:answer|choice|option|letter|point|label|match)"
    r"|selection|prediction|result|response)[\"']\s*:\s*[\"']\s*[(\[]?(?:(?:point|option)\s+)?([A-Da-d])[)\].]?\s*[\"']",
    re.IGNORECASE,
)
_CLOSING = re.compile(r"</(?:[a-z][\w-]+|s)>|\[/[a-z]+\]|<\|[^|<>]*\|>|<end_of_turn>", re.IGNORECASE)
_OPENING = re.compile(r"<[A-Za-z][\w-]+(?:\s[^<>]{0,200})?/?>|</?[a-z](?:\s[^<>]{0,200})?/?>")
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufe0e\ufe0f\u00ad]")
_ALL_FOUR = re.compile(
    r"[(\[]?(?<![\w'])[\"']?A[\"']?\s?[,/|]\s?[\"']?B[\"']?\s?[,/|]\s?[\"']?C[\"']?\s?[,/|]?\s?(?:and\s|or\s|&\s)?[\"']?D\b[\"']?[)\]]?"
)
_CUT_ITEM = re.compile(r"(?<=\S)\s*\n\s*[(\[]\s*[A-Z]\s*$")  # a text that was cut within "(D) Point D"
_SPACES, _LINES = re.compile(r"[^\S\n]+"), re.compile(r"\s*\n\s*")
_FOREIGN = str.maketrans("。、【】「」‘’´", ".,[][]" + "'" * 3)
_MARKUP = re.compile(r"\\(?:text|math)?(?:text|bf|it|rm|sf|tt)\b\s*|\\(?:text|emph)\b\s*")
_GAPS = re.compile(r"\\[,;:! ]|\\q?quad\b|~(?!~)")
_STRUCK = re.compile(r"~~[^~\n]{1,200}~~|<(s|del|strike)>.{1,200}?</\1>", re.IGNORECASE)
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{+\s*((?:[^{}]|\{[^{}]*\})*?)\s*\}+")
_REMARK = re.compile(r"(?<!\\)\[([^\[\]\\\n]{2,200})\]")  # "D [rear light]"; not the brackets of formulas
_DECORATION = re.compile(r"[*_`$~#<>|\\]+|\{|\}|^\s*[-•]\s+|^\s*\d{1,2}[.)]\s+(?=\(?[A-Z]\b)", re.MULTILINE)

_LETTER = (
    r"[(\[\"'“‘]{0,3}\s*(?:(?:option|choice|point|letter|label)\b[\s:-]{0,3})?[(\[\"'“‘]{0,3}([A-Z])[)\]\"'”’]{0,3}"
)
_NOUN = (
    r"(?:option|choice|point|keypoint|letter|label|match|location|position|place|spot|answer|one|candidate|counterpart"
    r"|equivalent)"
)
_SUBJECT = (
    rf"(?:\banswer|\bans\b|\b(?:correct|right|best|chosen|selected|corresponding|matching)\s+{_NOUN}|\bcorresponds"
    r"|\bmy\s+(?:choice|pick)|\b(?:letter|label|point|option|one)\s+(?:that|which|corresponding|matching|closest|nearest)|\b(?:antwort|respuesta|réponse|risposta|resposta)(?:\s+(?:correct[ae]|corretta|correta))?"
    r"|ответ|答案|正解|答え|정답)"
)
_IS = (
    r"(?:\s+(?:is|(?:appears|seems|looks)(?:\s+to\s+be)?"
    rf"|ist|es|est|è|é)|'s|\s+(?:must|should|would|will|has\s+to)(?:\s+{ADVERB})?\s+be|[是为為は은는])"
)
_STATED = re.compile(
    rf"(?:{_SUBJECT}[\"']?(?:\s+(?:i|we)(?:'d|\s+would|\s+will)?\s+(?:give|choose|pick|select))?"
    rf"(?:\s+(?:in|on|to|for|of)\s(?:(?!\b(?-i:[A-Z])\b)[^.:\n]){{1,100}}?)??"
    rf"(?:(?:{_IS}|\s*[:=–—→]|\s+-)\s*:?|\s+(?=\(?[A-Z]\)?\s*(?:[.\n]|$)))(?:\s+(?:la|el|le|il|die|der|das))?(?:\s*,?\s*{ADVERB}\b,?)?"
    rf"|\bcorresponds\s+to(?=\s+{_NOUN})|\b(?:i|we)(?:\s+would|\s+will|'d|'ll)?\s+(?:choose|select|pick|go\s+with)\s*:?)"
    r"\s*" + _LETTER + FOLLOWS,
    re.IGNORECASE,
)
_MARKED = r"the\s+(?:marked|reference|highlighted|indicated|described|query|same|red|blue|yellow|purple|green)\b"
_CLAIMED = re.compile(
    r"\b((?-i:[A-Z]))\b[)\]\"'”’]{0,3}(?:\s+in\s+the\s+(?:second|target)\s+(?:image|picture))?\s+"
    rf"(?:is\s+(?:the\s+)?(?:correct|{RIGHT}|best|answer|most\s+(?:accurate|appropriate|suitable))\b"
    rf"|(?:best\s+)?(?:corresponds\s+(?:best\s+)?to|matches)\s+{_MARKED}"
    r"|(?:entspricht|corresponde?|corrisponde)\s+(?:dem|der|al?|au|à|con)\s+(?:\w+\s+){0,2}(?:markiert|marqu|marcad|segnat|r[eé]f[eé]r|riferim)\w*)",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"\s*(?:is|are|does|do|did|should|shall|could|can|would|which|what|where|how|why|am|or)\b", re.IGNORECASE
)
_APPROVALS = frozenset(["yes", "correct", "right", "match", "matches", "true", "✓", "✔", "✅", "☑"])
_SIGNS = "✓✔✅☑✗✘❌✖☒"
_VERDICT = re.compile(  # of an entry of a list: right behind the letter, or at the end of its line
    r"(?<![\w'])((?-i:[A-D]))\b[)\]*]{0,3}\s*(?:(?:[:.=–—-]|is\b)[ *]{0,3})?"
    r"(?:((?:yes|no|correct|incorrect|matches|mismatch|does(?:\s+not|n't)\s+(?:match|correspond)|not\s+\w+)\b(?!\s+(?:point|option|answer|side)))"
    rf"|(?:[^\n.;{_SIGNS}]{{0,200}}?[ (:–—-])??"
    rf"((?:yes|no|correct|incorrect|right|wrong|match|matches|mismatch|true|false)\b|[{_SIGNS}])"
    r"(?=\ufe0f?\W*(?:$|\n|(?-i:[A-D])\b)))",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[.!?;](?=\s|$)|\n")
_SUPPOSED = re.compile(
    r"\b(?:might|may|could|would|first|initially|some|people|others)\b[^.,]{0,25}\b(?:think|say|believe|assume|guess|thought)"
    r"(?:\s+that)?(?:\s+the)?(?:\s+\w+)?\s*$|\bdoubt(?:\s+that)?(?:\s+the)?(?:\s+\w+)?\s*$"
    r"|\b(?:suppose|assum(?:e|ing)|imagine|wonder|whether|(?<!as\s)if)(?:\s+(?:that|it|this|the|is|was|if|point|option|answer|correct|label))*\s*$"
    r"|(?:\bnot|n't|\bhardly|\bcannot)\s+(?:\w+\s+)?(?:think|believe|say|agree|sure|certain|clear|confirm|conclude|claim|mean)\b"
    r"(?:\s+(?:that|if|whether))?(?:\s+the)?(?:\s+\w+)?\s*$",
    re.IGNORECASE,
)
_CONCLUDED = re.compile(
    r"(?:\b(?:so|therefore|thus|hence|it\s+is|it's)\b\s*[,:]?\s*" + _LETTER + r")\s*[.!]?\s*$",
    re.IGNORECASE | re.MULTILINE,
)
_WHOLE = re.compile(
    r"\s*(?:the\s+(?=option|choice|point|letter|label)|[=-]*[→⇒]\s*|[=-]+\s*|punkt\s+|punto\s+|点|選択肢|选项)?"
    + _LETTER
    + r"(?:点|选项|選項)?\s*[.:;,!?]{0,3}\s*",
    re.IGNORECASE,
)
_SMALL = re.compile(r"\s*[(\[\"']?([a-d])[)\]\"']?\s*[.:)]?\s*")
_REPEATED = re.compile(r"\s*([A-D])(?:[\s,.]+\1)+[\s,.]*")
_AT_START = re.compile(
    r"[ \t]*(?:(?:option|choice|point)[\s:-]+)?[(\[]{0,3}([A-Z])"
    r"(?:[)\]]{1,3}[.:]?|\s[=/](?=\s)|\s?[.:](?![\w.])|(?=\s+[-–—]\s)|,?(?=\s+(?:because|since|as)\b)|,(?=\s+(?:which|given|due|al?though|but|while|not)\b)"
    r"|(?=\s+\([^()]*\)\s*[.!]?\s*$))",
    re.IGNORECASE,
)
_AT_END = re.compile(r".*(?::|=|→|⇒|\s[-–—])\s*" + _LETTER + r"\s*[.!]?\s*", re.IGNORECASE)
_LEADS = re.compile(  # "B the rear wheel", "Point B in the second image"
    r"\s*(?:(?:[Oo]ption|[Pp]oint|[Cc]hoice|[Ll]abel)\s+)?[(\[\"']?([A-D])[)\]\"']?,?\s+(?:[Tt]he|(?:in|on|at|from)\s+the)\s"
)
_VERB = re.compile(r"\b(?:is|are|was|corresponds|matches|marks|shows|lies|seems|looks|has|represents)\b", re.IGNORECASE)
_HEDGE = re.compile(
    r"[)\]\"'”’]{0,3}\s*[,/(]?\s*(?:\b(?:or|and)\b|/|&)\s*(?:(?:maybe|perhaps|possibly)\s+)?(?:option|choice|point)?\s*"
    r"[(\[]?\b([A-D])\b(?!\s+(?:is|are|was|seems|looks|would|lies|marks)\b)",
    re.IGNORECASE,
)
_ANOTHER = re.compile(r"\b([A-D]):|(?<![(\w])([A-D])\)\s+\w")
_ITEM = re.compile(r"(?<!\w)\(?([A-D])(?:[).:]|\s=)")
_LISTED = re.compile(
    r"\s*[(\[]?[A-D][)\].,:;]*(?:(?:\s+|(?<=[)\]]))[(\[]?[A-D][)\].,:;]*)+\s*"
)  # "A. B. C. D." chooses nothing
_LIST = re.compile(r"[)\]\"'”’]{0,3}\s*,\s*[(\[]?([A-D])\b(?!\s+[a-z])")


def parse_strict(text: object) -> str | None:
    r"""The letter A to D that the text gives as its answer, None where it gives none or more than one.

    Read, in this order: the last \boxed{X}; the last "answer: X", "the correct option is X", "the corresponding
    point is X", "I choose X"; the last "X is correct", "X corresponds to the marked point"; the last "so X" that
    ends its line; a text that is nothing but the letter, or whose only such line it is; "X.", "X)", "(X)", "X:",
    "X - " at the start of the only line that has it; ": X" at the end of the last line; what a sentence affirms
    ("it is point X in the second image", "most likely X", "X seems right", see `letter_mentions`). A list of verdicts
    ("A: no, B: yes, C: no") gives the only letter that it approves. Markdown,
    LaTeX, HTML, JSON, brackets, quotes, numbered lists and full-width letters do not matter, nor does what a
    model thinks before </think>; the answer may also be called "Antwort", "respuesta", "réponse", "答案" and the
    like. A small letter counts only where nothing else is there ("b", "b)", \boxed{b}). The article "a", "A or
    B", "maybe B", "not B" and "B-pillar" are not answers.

    >>> parse_strict("A point on the left wing"), parse_strict("A or B"), parse_strict("**Answer:** (C)")
    (None, None, 'C')
    >>> parse_strict("It is point C in the second image."), parse_strict("Not A.")
    ('C', None)
    """
    found = given_letter(text)
    return found if found is not None and found in "ABCD" else None


def without_thought(text: str) -> str:
    """A text without what a model thinks: all before the last </think>, or behind a <think> that is never closed.

    >>> without_thought("<think>A or B?</think>B"), without_thought("B<think>or"), without_thought("B")
    ('B', 'B', 'B')
    """
    return _THOUGHT.sub("", text)


def given_letter(text: object) -> str | None:
    """As `parse_strict`, but any capital letter: E is an answer too, although not a valid one."""
    if not isinstance(text, str):
        return None
    answer = without_thought(text)[-_LONGEST:]
    for pattern in (_TAGGED, _FIELD):
        if given := {letter.upper() for letter in pattern.findall(answer)}:
            return given.pop() if len(given) == 1 else None
    answer = _STRUCK.sub(" ", answer)
    if judged := _only_approved(answer):
        return judged
    words = _OPENING.sub("", _CLOSING.sub("\n", _ANSWER_TAG.sub("\nAnswer: ", answer)))
    words = _INVISIBLE.sub("", unicodedata.normalize("NFKC", words)).translate(_FOREIGN)
    words = _GAPS.sub(" ", words)
    words = "".join(sign for sign in words if unicodedata.category(sign) != "So")  # a tick or a hand beside the letter
    words = _ALL_FOUR.sub("", words)  # "of A, B, C and D" chooses nothing
    words = _CUT_ITEM.sub("", words)
    words = _LINES.sub("\n", _SPACES.sub(" ", words))  # the patterns look for short gaps only
    boxed: list[str] = _BOXED.findall(_MARKUP.sub("", words))
    return _read(boxed[-1] if boxed else words)


def _read(text: str) -> str | None:
    plain = _DECORATION.sub("", _MARKUP.sub("", _REMARK.sub(r"(\1)", text)))
    for whole in (_SMALL, _REPEATED):
        if match := whole.fullmatch(plain):
            return match[1].upper()
    if _LISTED.fullmatch(plain):
        return None
    for pattern in (_STATED, _CLAIMED, _CONCLUDED):
        if found := [match for match in pattern.finditer(plain) if match[1].isupper() and not _is_doubted(match)]:
            return _unless_hedged(found[-1], plain)
    lines = [line for line in plain.splitlines() if line.strip()]
    return _of_lines(lines) or affirmed_letter(plain) or _leading(lines)


def _only_approved(text: str) -> str | None:
    """The only letter of a list of verdicts that is approved: "A: no, B: yes", "- A: the nose ✗"."""
    verdicts: dict[str, set[str]] = {}
    for letter, *words in _VERDICT.findall(text):
        verdicts.setdefault(letter.upper(), set()).add("yes" if "".join(words).lower() in _APPROVALS else "no")
    approved = [letter for letter, said in verdicts.items() if said == {"yes"}]
    return (
        approved[0]
        if len(verdicts) > 2 and len(approved) == 1 and all(len(v) == 1 for v in verdicts.values())
        else None
    )


def _is_doubted(match: re.Match[str]) -> bool:
    """Whether the sentence of a match asks, supposes, or says what others think."""
    text = match.string[max(0, match.start() - _NEAR) : match.end() + _NEAR]
    at = min(match.start(), _NEAR)
    start = max(text.rfind(end, 0, at) for end in (". ", "! ", "? ", "; ", "\n")) + 1
    end = _SENTENCE.search(text, at + match.end() - match.start())
    sentence = text[start : end.end() if end else len(text)]
    asks = sentence.rstrip().endswith("?") and bool(_ASKS.match(sentence))
    beside = (
        match.string[max(0, match.start(1) - _NEAR) : match.start(1)],
        match.string[match.end(1) : match.end(1) + _NEAR].lstrip("?"),
    )
    return asks or is_rejected(*beside) or is_unreal(sentence) or bool(_SUPPOSED.search(text[start:at]))


def _of_lines(lines: list[str]) -> str | None:
    """The letter of the only line that is nothing else, that begins with it, or of the last one if it ends in ": X"."""
    alone = {letter for letter in map(_single, lines) if letter}
    if alone:
        return alone.pop() if len(alone) == 1 else None
    starts = [match for match in map(_AT_START.match, lines) if match and match[1].isupper()]
    if len({match[1] for match in starts}) == 1 and not _others(starts[0]):
        return _unless_hedged(starts[0], starts[0].string)
    end = _AT_END.fullmatch(lines[-1]) if lines else None
    return end[1] if end and end[1].isupper() else None


def _others(start: re.Match[str]) -> set[str]:
    """Further letters that the line of a match lists: "A) wheel B) door"."""
    items = set(_ITEM.findall(start.string))
    named = {one or two for one, two in _ANOTHER.findall(start.string)}
    return (named | (items if len(items) > 2 else set())) - {start[1]}


def _leading(lines: list[str]) -> str | None:
    """The letter that a text of one short line without a verb begins with."""
    if len(lines) != 1 or len(lines[0]) > 80 or _VERB.search(lines[0]):
        return None
    match = _LEADS.match(lines[0])
    return _unless_hedged(match, lines[0]) if match else None


def _single(text: str) -> str | None:
    """The letter of a text that is nothing else."""
    match = _WHOLE.fullmatch(text)
    return match[1] if match and match[1].isupper() else None


def _unless_hedged(match: re.Match[str], text: str) -> str | None:
    """The letter of a match, None where another one is offered right behind it."""
    rest = text[match.end() :]
    other = _HEDGE.match(rest) or _LIST.match(rest)
    return None if other and other[1].isupper() and other[1] != match[1] else match[1]
