"""Which of the letters that a sentence mentions it gives as the answer: "It is point C in the second image."

Each lone capital letter is a mention. What stands directly before and after it in its sentence affirms it ("I think C",
"B seems right"), rejects it ("not A", "D is wrong"), or does neither ("The roof carries A").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["affirmed", "suggested", "rejected", "mentioned"]

NOUN = (
    r"(?:antwort|punkt|punto|opción|réponse|risposta|options?|choices?|points?|letters?|labels?|answers?|candidates?"
    r"|markers?|dots?)"
)
ADVERB = (
    r"(?:clearly|definitely|certainly|obviously|probably|likely|most\s+likely|very\s+likely|almost\s+certainly|surely"
    r"|undoubtedly|indeed|therefore|thus|hence|simply|just|actually|really|apparently|evidently|presumably|best|still"
    r"|then|also|in\s+fact|of\s+course|in\s+my\s+opinion)"
)
COPULA = (
    r"(?:\bis|'s|\bbe|\bseems\s+to\s+be|\bappears\s+to\s+be|\bist|\bes|\best|\bè|\bé|\bsarebbe|\bestá|\bwould\s+say"
    r"|是|为|選|选择|选|は|은|는)"
)
# Behind a letter that is a letter: an end, punctuation, or a word that no noun phrase beginning with "A" has.
RIGHT = (  # as in "the right one", not as in "the right ear"
    r"right(?=\s*(?:[.,;:!)\n]|$)|\s+(?:one|answer|choice|option|point|match|candidate|letter|label|location|spot|place|because|as|since"
    r"|and|here|for)\b)"
)
FOLLOWS = (
    r"(?=\s*$|\s*[.,;:!?)\]\n(/&]|\s*[–—]|\s+-|-\s|\s*[^\x00-\x7f]|\s+(?:because|since|as|for|which|that|not|in|on|at|by|based|is"
    r"|are|was|seems|appears|looks|would|must|should|has|best|match(?:es)?|corresponds?|and|or|but|though|although|while|rather"
    r"|instead|from|with|due|over|where|given|sits|aligns|refers|equals|maps|shares|occupies|falls|belongs|exactly|clearly|definitely|then|too|also|porque|weil|parce|perché|richtig|korrekt|ist|es|est|è|é|the|marks?|shows?|represents?|lies?|to|here|there|after|if|when|both|can|could|cannot"
    r"|might|may|will|does|than|likely|probably|it|makes|fits|remains|works|i\s+(?:think|guess|believe|suppose))\b)"
)
_MENTION = re.compile(
    rf"(?<![A-Za-z0-9_À-ɏ'’.+<>-])(?P<noun>(?i:{NOUN})\s*[:#-]?\s*)?(?P<open>[(\[\"'“‘]{{0,3}})(?<![A-Za-z0-9_À-ɏ+<>-])(?P<letter>[A-Z])"
    rf"(?P<close>[)\]\"'”’]{{0,3}})(?![A-Za-z0-9_'’]|-\w)",
)
_SENTENCE_END = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\b[MD]r)(?<!\bMs)(?<!\bvs)[.!?;]+(?=\s|$)|\n")
_ADVERBS = rf"(?:,?\s*{ADVERB}\s*,?)*"
_THE = r"(?:\s*(?:the|at|a|an|one|of|either)\b){0,3}"
_MARKED = r"(?:\s*\b(?:labell?ed|marked|indicated|denoted|shown|identified|designated|represented|tagged|named|called))"
_BEFORE_STRONG = re.compile(
    rf"(?:\b(?:i|we|you|one|let's|let\s+us)(?:\s*'\s*d|\s*'\s*m|\s+am|\s+would|\s+will|\s*'\s*ll|\s+can|\s+have\s+to|\s+must|\s+should)?(?:\s+{ADVERB})*\s+(?:say|think|believe|"
    r"guess|pick|choose|chose|select|selected|go\s+(?:with|for)|suggest|conclude|vote\s+for|opt\s+for|answer|favou?r|bet|"
    rf"lean(?:\s+(?:towards?|to))?|go(?:ing)?\s+(?:with|for)|settle\s+(?:on|for)|take|prefer|picked|assume|suspect|feel"
    rf"|(?:\w+\s+)?(?:confident|sure|certain|convinced)(?:\s+(?:in|of|about))?)\b[,:]?(?:\s+(?:it|that|the\s+answer|this|on))*"
    rf"(?:\s+(?:would|must|should|will|has\s+to)\b)?(?:\s*{COPULA})?{_ADVERBS}{_THE}"
    rf"|\b(?:it|this|that|he|answer|choice|option|pick|letter|match|counterpart|correspondence|selection|equivalent|solution)\b"
    rf"[\"']?(?:\s+(?:would|must|should|will|has\s+to))?(?:\s+{ADVERB})*\s*{COPULA}{_ADVERBS}{_THE}"
    rf"|(?:^|[.!?,;:\n]\s*|\b(?:and|but)\s+)(?:so|therefore|thus|hence|consequently|accordingly|ergo|finally)\b[,:]?{_ADVERBS}{_THE}"
    rf"|^\s*(?:(?:i'm|i\s+am)\s+(?:not\s+)?\w*\s*sure,?\s*)?(?:but|{ADVERB}|my\s+(?:best\s+)?guess|guess)\b[,:]?\s*(?:i\s+\w+\s+)?"
    rf"|\bbut{_ADVERBS}|\b(?:instead|rather)[,:]?|^\s*(?:(?:it|that|this)\s+)?(?:looks|seems|appears|sounds)\s+(?:like|to\s+be)"
    r"|(?:^|[.,;:!]\s*|\b(?:but|and|so|then)\s+)(?:go(?:ing)?\s+(?:with|for)|pick(?:ing)?|choos(?:e|ing)|select(?:ing)?|chose)(?:\s+the)?"
    r"|\b(?:leaves|leaving|left\s+with|remaining)(?:\s+(?:us|me))?(?:\s+with)?(?:\s+(?:only|just))?(?:\s+the)?"
    rf"|\b(?:answer|answers|antwort|respuesta|réponse|risposta|resposta|ответ|odpowiedź|svar|उत्तर|الإجابة|الجواب|คำตอบ)(?:\s+\w+)?\s*[:=–—-]*\s*{COPULA}?"
    r"|(?:答案|答|选择|选项|应选|應選|故选|正确|正解|答え|정답|对应于|對應於)(?:的)?(?:点|選項|选项)?\s*[是为為はが은는:]*"
    r")\s*$",
    re.IGNORECASE,
)
_BEFORE_WEAK = re.compile(
    rf"(?:{COPULA}{_ADVERBS}{_THE}(?:{_MARKED}(?:\s+(?:by|with|as))?)?(?:\s+the)?"
    rf"|\b(?:corresponds?|corresponding|match(?:es|ing)?|aligns?|maps?|translates?|equals?|points?|refers?)(?:\s+{ADVERB})*"
    rf"(?:\s+(?:to|onto|with|best\s+to|best\s+with|closely\s+to))?(?:\s+the)?"
    rf"|{_MARKED}(?:\s+(?:by|with|as))?(?:\s+the)?|\b(?:lies|located|found|sits|placed|positioned)\s+(?:\w+ly\s+)?at|\b(?:carries|has|bears)\s+the|\b(?:is|lies|sits)\s+where|\bclosest\s+to|\bbelongs\s+to|\bequivalent\s+to|\bsame\s+as|\bdenoted"
    rf"|\b{ADVERB})\s*[:=]?\s*$",
    re.IGNORECASE,
)
_MARKED_POINT = (
    r"the\s+(?:\w+\s+){0,2}?(?:marked|reference|highlighted|indicated|query|source|original|first|same|red|blue|yellow"
    r"|purple|green|arrow)\b"
)
_AFTER_STRONG = re.compile(
    r"\s*(?:in\s+the\s+(?:second|target|other|right|2nd)\s+(?:image|picture|photo)\s+)?"
    r"(?:,\s[^,.;:!?\n]{1,60},\s*|\([^()\n]{1,60}\)\s*)?"  # "option A, the left ear, is right"
    rf"(?:(?:is|seems|appears|looks|must\s+be|should\s+be|would\s+be|has\s+to\s+be|feels)(?:\s+(?:to\s+be|like))?(?:\s+{ADVERB})*"
    rf"(?:\s+(?:the|my|our|a))*\s+(?:\w+\s+)?(?:correct|{RIGHT}|best|answer|closest|nearest|most\s+\w+|corresponding|matching|match"
    rf"|one\s+that|same|counterpart|choice|pick|equivalent|correspondence|point\s+corresponding)\b(?!\s+(?:of|distractor))"
    r"|(?:is|would\s+be|must\s+be)\s+(?:(?:the\s+one|it|closer|nearer|better)\s*(?:[.!]|$|\n)|what\b|the\s+only\b|my\s+(?:\w+\s+)?(?:answer|guess|choice|pick)\b)|for\s+sure\b|it\s+is\s*(?:[.!,]|$|\n)"
    r"|(?:marks|shows|indicates|represents|(?:is|lies|sits)\s+(?:located\s+|placed\s+|positioned\s+)?(?:on|at|in))\s+(?:exactly\s+)?the\s+same(?:\s+\w+){1,6}?"
    r"\s*(?:[.!]|$|\n|\bas\s+(?:the|in)\b)|(?:(?:ist|es|est|è|é)\s+)?(?:(?:la|die|le|o|a)\s+)?(?:richtig|korrekt|correct[oae]|corrett[ao]|corret[ao]|giust[ao])\b|makes?\s+(?:the\s+most\s+)?sense\b|です|だ|입니다"
    rf"|(?:{ADVERB}\s+)?(?:matches|fits|corresponds)(?:\s+(?:best|better|it|exactly|perfectly))*\s*(?:[.!]|$|\n)"
    rf"|(?:best\s+)?(?:corresponds(?:\s+\w+)?\s+to|matches|aligns\s+with|fits)\s+{_MARKED_POINT})",
    re.IGNORECASE,
)
_BEFORE_REJECTED = re.compile(
    rf"(?:(?:\b(?:not|never|doubt(?:\s+that)?|don't|neither|nor|no|isn't|aren't|wasn't|unlike|except|excluding|exclude|without|eliminate|reject|ruled?\s+out"
    rf"|discard|instead\s+of|rather\s+than|other\s+than|than|cannot\s+be|can't\s+be|couldn't\s+be|could\s+not\s+be|nicht|niet|no\s+es|ni|né|weder|noch|n'est\s+pas|non\s+è|não\s+é|не"
    rf"|over|versus|vs\.?)|n't|不是)(?:\s+(?:be|it's|it\s+is|is|that|believe|sure|certain|agree|say|think|pick|choose|select|go\s+with|see|find|at|the|either|both|to|with|{NOUN}|{ADVERB}))*)\s*$",
    re.IGNORECASE,
)
_DENIED = re.compile(  # "I'm not convinced that B is right", "nobody would say A is right"
    r"(?:\b(?:not|never|nobody|no\s+one|hardly|un(?:clear|certain|likely)|doubtful)\b|n't\b)(?:(?!\bbut\b|\bbecause\b)[^,.;:!?\n]){0,40}"
    r"\b(?:that|whether|if|says?|thinks?|believes?|claims?|argues?)\b(?:(?!\bbut\b)[^,.;:!?\n]){0,30}$",
    re.IGNORECASE,
)
_BEFORE_DOUBTED = re.compile(
    r"\b(?:suppose|assum(?:e|ing)|imagine|wonder|(?<!i\s)consider(?:ing)?|examin(?:e|ing)|look(?:ing)?\s+at|check(?:ing)?|(?:start|begin)(?:n?ing)?\s+with|either|between|might|may|could|maybe|perhaps|possibly|whether|if|might\s+be|second|next|runner-?up|alternative(?:ly)?)"
    rf"\b(?:\s+(?:be|say|think|also|is|the|best|it|it's|{NOUN}|{ADVERB}|{COPULA}))*\s*$",
    re.IGNORECASE,
)
_AFTER_REJECTED = re.compile(
    r"\s*(?:(?:is|are|was|seems|looks|appears|must\s+be|would\s+be)(?:\s+(?:to\s+be|\w+ly))*\s+"
    r"(?:not\b|in?correct|wrong|too\b|on\s+the\s+wrong|a\s+(?:common\s+)?distractor|ruled\s+out|n't|unlikely|excluded|close\b"
    r"|second|farther|further|off\b|elsewhere|(?:on|at|in|for)?\s*(?:other|different)\b)|isn't|(?:cannot|can't|does\s+not|doesn't|do\s+not)\b|(?:corresponds?|match(?:es)?|belongs?|refers?|lies?|sits?|marks?|points?|shows?)\s+(?:to|on|at|in|with)?\s*(?:an?\s+|the\s+)?"
    r"(?:other|different|wrong|opposite)\b|\?)",
    re.IGNORECASE,
)
_AFTER_SAID = re.compile(  # "B, I think."
    rf"\s*,?\s+(?:i\s+(?:think|believe|guess|suppose|reckon|am\s+(?:fairly|quite|pretty)?\s*(?:sure|certain))"
    rf"|i'd\s+say|it\s+seems|(?:without(?:\s+any|\s+a)?|no)\s+doubt|for\s+sure|hands\s+down|{ADVERB})\s*(?:[.!]|$|\n)",
    re.IGNORECASE,
)
_AFTER_CLOSED = re.compile(  # "B lies on the beak, so that is my answer"
    r"[^.!?\n]{0,110}\b(?:that|this|it|which)(?:\s+(?:is|would\s+be|must\s+be)|'s)\s+(?:my|the)\s+(?:\w+\s+)?(?:answer|choice|pick|match"
    r"|counterpart)\s*(?:[.!]|$|\n)"
    rf"|[^.!?\n]{{0,110}}\b(?:so|thus|hence|therefore|and)\s+(?:it|this|that)\s+(?:\w+\s+)?(?:corresponds\s+to|matches)\s+{_MARKED_POINT}",
    re.IGNORECASE,
)
_AFTER_OTHER = re.compile(  # "B (not A)", "B rather than A"
    rf"\s*[,(]?\s*(?:not|rather\s+than|instead\s+of|over)\s+(?:{NOUN}\s+)?[(\[\"']?[A-D]\b(?![’'-])(?!\s+\w)",
    re.IGNORECASE,
)
_MADE = re.compile(
    r"\b(?:makes?|making|leaves|leaving|consider|deem)(?:\s+the)?\s*$", re.IGNORECASE
)  # "makes D the right one"
_MADE_SO = re.compile(
    r"\s+(?:(?:as|to\s+be)\s+)?(?:the|our|my)\s+(?:\w+\s+)?(?:right|correct|best|answer|choice|match|only|one|likel\w+|closest|most)\b",
    re.IGNORECASE,
)
_CUT = re.compile(  # where the text ends in the middle of a statement: "Therefore, point C does"
    r"\s+(?:does|do|is|are|was|can|could|would|will|has|may|might|should|in|on|at|of|the|and|but|because|which|that|not)\s*$"
)
_ALL_BUT = re.compile(  # "everything except B can be ruled out"
    rf"\b(?:(?P<none>nothing|none|no\s+{NOUN})|all|everything|any\w*|every\s+{NOUN}|all\s+{NOUN})\s+(?:but|except(?:\s+for)?|other\s+than)\s*$",
    re.IGNORECASE,
)
_RULED_OUT = re.compile(
    r"\s+(?:can|could|is|are|has|have|seems?)\b[^.;\n]{0,20}\b(?:ruled|excluded|eliminated|wrong|incorrect|on|in|at)\b",
    re.IGNORECASE,
)
_ONLY = re.compile(rf"\bonly(?:\s+{NOUN})?\s*$", re.IGNORECASE)
_FITS = re.compile(
    r"\s+(?:fits|matches|remains|works|corresponds|makes\s+sense|(?:is|lies|sits)\s+(?:left|correct|right|plausible|possible|on|at|in|near))\b",
    re.I,
)
_INTRODUCED = re.compile(  # "By elimination, C."
    r"\s*(?:(?:so|and|but)\s+)?(?:looking|based|after|by|in|on|upon|given|from|comparing|considering|judging|as|well|ok|okay|hmm+"
    r"|yes|no|wait|actually|correction|final|finally|again|overall|sure|right|that\s+said|to\s+(?:conclude|sum\s+up|summarize))\b"
    r"(?:(?!\b(?-i:[A-Z])\b)[^.;!?\n]){0,120}[,:]\s*",
    re.IGNORECASE,
)
_ENDS = re.compile(r"\s*[.!]*\s*")
_ASKED = re.compile(
    r"^\s*(?:is|are|does|do|did|should|could|can|would|which|what|where|how|why)\b[^?]*\?\s*$", re.IGNORECASE
)
_BLIND = re.compile(
    r"\b(?:unable|cannot|can\s*not|can't|couldn't|no\s+such|there\s+is\s+no|nowhere|missing)\b[^,;]*$", re.IGNORECASE
)
_NAMES = re.compile(  # "image B", "vitamin C", "the dog's name is B"
    r"\b(?:platforms?|gates?|tracks?|terminals?|exits?|rooms?|buildings?|halls?|seats?|zones?|blocks?|lanes?|keys?|notes?|images?|pictures?|photos?|figures?|fig\.?|objects?|vitamins?|class|grade|size|type|plan|sections?|parts?|steps?|cars?"
    r"|models?|versions?|teams?|groups?|rows?|columns?|batter(?:y|ies)|names?|badge|plate|mr\.?|ms\.?|e\.g\.?)"
    r"(?:\s+(?:is|reads|says|called))?\s*$",
    re.IGNORECASE,
)
_UNREAL = re.compile(
    r"^\s*(?:were|had)\b|\bif\b(?!\s+(?:i|we|one|you)\s+(?:had|have|must|were|needed?)\b|\s+(?:forced|pressed|asked)\b)",
    re.IGNORECASE,
)
_LINK = re.compile(
    r"\b(?:same|marked|reference|arrow(?:'s)?|first\s+(?:image|picture)|image\s+1|highlighted|indicated|query|source|best|most|likel\w+|right"
    r"\s+(?:answer|choice|option|one)|correct|match\w*|answer|closest|nearest|equivalent|counterpart|both|also|too|analogous|correspond(?:ing|ence)"
    r"|richtig\w*|korrekt\w*|correct[oae]|corrett[ao]|corret[ao]|judg\w+|left\s+over|remains)\b",
    re.IGNORECASE,
)
_OPEN = re.compile(
    r"\?|\b(?:suppose|assum\w+|wonder|consider|let\s+me|let's|let\s+us|check|examine|compare|start\s+with|imagine|whether|should\s+i|step"
    r"|cannot|can't|could|might|may|maybe|perhaps|unable|sorry|unclear|wrong|incorrect|distractor|tempting|mirror(?:ed)?|not|n't|no|none|if|would|unless|without|missing|sign|letter\s+[A-Z]\s+on)\b|n't\b",
    re.IGNORECASE,
)
_REST_OF_LIST = re.compile(rf"(?:[A-D]\b[)\"']*\s*,?\s*(?:or|nor|and|,|/|&)\s*(?:{NOUN}\s+)?)+$")
_GIVEN = re.compile(
    r"\b(?:i|we)\s+would\s+(?:\w+ly\s+)?(?:select|choose|say|pick|answer|go|guess|take|opt|suggest|conclude)\b(?!.*\bif\s+(?:it|this|that|he|she)\b)",
    re.IGNORECASE,
)
_NEXT = rf"\s*(?:{NOUN}\s+)?[(\[\"']?[A-D]\b[)\]\"']?"
_LIST_AHEAD = re.compile(rf"(?:\s*,{_NEXT})*\s*,?\s*(?:\b(?:or|nor|and)\b|/|&){_NEXT}")
_ALTERNATIVE = re.compile(
    rf"\s*,?\s*(?:or|and|/|&|,)\s*(?:{NOUN}\s*)?[(\[\"']{{0,2}}(?P<letter>[A-D])\b(?![’'-]|\s+(?:is|are|was|seems|looks|would|lies)\b)"
)


@dataclass(frozen=True)
class Mention:
    """A lone capital letter of a text.

    Attributes:
        letter: "A" to "Z".
        verdict: "affirmed" (given as the answer in so many words), "suggested" (nothing speaks against it), "rejected",
            or "mentioned".
        alternative: another letter is offered beside it ("A or B").
        last: a statement ends with it, and it is not the name of something else ("image B").
        firm: it cannot be an article or a name, and nothing makes it doubtful.
    """

    letter: str
    verdict: Verdict
    alternative: bool
    last: bool = False
    firm: bool = True


def affirmed_letter(text: str) -> str | None:
    """The letter that the sentences of a text give as the answer, None for none or more than one.

    The last affirmed letter counts. Where none is affirmed, a suggested one counts if no other letter is mentioned
    other than to reject it.
    """
    sentences = _sentences(text)
    if last := _bare(sentences):
        return last
    mentions = [mention for sentence in sentences for mention in _mentions(sentence)]
    affirmed = [mention for mention in mentions if mention.verdict == "affirmed"]
    if affirmed:
        return None if affirmed[-1].alternative else affirmed[-1].letter
    if remaining := _remaining(mentions, text):
        return remaining
    left = [mention for mention in mentions if mention.verdict != "rejected"]
    if len({mention.letter for mention in left}) == 1 and left[-1].last and not left[-1].alternative:
        return left[-1].letter
    if len({mention.letter for mention in left}) != 1 or any(mention.alternative for mention in left):
        return None
    alone = len(left) == len(mentions) and all(mention.firm for mention in left)
    linked = any(mention.verdict == "suggested" for mention in left) or (alone and _is_linked(text))
    return left[0].letter if linked else None


def _is_linked(text: str) -> bool:
    """Whether a text that mentions one letter speaks of the marked point, and neither asks, supposes nor refuses."""
    return bool(_LINK.search(text)) and not _OPEN.search(text)


def _bare(sentences: list[str]) -> str | None:
    """The letter that the last of several sentences consists of, unless the one before does too."""
    found = [re.fullmatch(r"\s*(?:\((?=[A-Z]\)))?([A-Z])\)?\s*[.!]*\s*", sentence) for sentence in sentences[-2:]]
    return found[1][1] if len(found) == 2 and found[1] and not found[0] and len(sentences[-2]) > 12 else None


def _remaining(mentions: list[Mention], text: str) -> str | None:
    """The only letter of a finished text that is not rejected, where the three others are."""
    rejected = {mention.letter for mention in mentions if mention.verdict == "rejected"}
    free = {mention.letter for mention in mentions} - rejected
    return free.pop() if len(free) == 1 and len(rejected) == 3 and text.rstrip().endswith((".", "!", ")")) else None


def is_rejected(before: str, after: str) -> bool:
    """Whether what stands before and after a letter rejects it: "not A", "neither A nor B fits", "A is too low"."""
    rest = _LIST_AHEAD.match(after)
    return bool(
        _DENIED.search(before)
        or _BEFORE_REJECTED.search(before)
        or _AFTER_REJECTED.match(after[rest.end() :] if rest else after)
    )


def is_unreal(sentence: str) -> bool:
    """Whether a sentence says what would be the answer if something else were shown.

    >>> is_unreal("If it were a bus, the answer would be A."), is_unreal("If I had to choose, I would say A.")
    (True, False)
    """
    given = _GIVEN.sub("", sentence)  # "I would select D, if both were used" selects D
    return bool(re.search(r"\bwould\b", given, re.IGNORECASE) and _UNREAL.search(given))


def _sentences(text: str) -> list[str]:
    """The sentences, each with its final punctuation: a question mark behind a letter doubts it."""
    found, start = [], 0
    for end in _SENTENCE_END.finditer(text):
        found.append(text[start : end.end()])
        start = end.end()
    return [sentence for sentence in (*found, text[start:]) if sentence.strip()]


def _mentions(sentence: str) -> list[Mention]:
    found: list[Mention] = []
    for match in _MENTION.finditer(sentence):
        before, after = sentence[max(0, match.start() - 160) : match.start()], sentence[match.end() : match.end() + 120]
        if not (match["noun"] or match["close"]) and not re.match(FOLLOWS, after, re.IGNORECASE):
            continue
        if match["letter"] == "I" and not match["noun"]:
            continue
        other = _ALTERNATIVE.match(after)
        listed = _REST_OF_LIST.search(before)
        if listed and re.search(rf"\b{match['letter']}\b", listed[0]):  # "of B and D, B": the list ends before it
            listed = None
        context = before[: listed.start()] if listed else before
        alternative = bool(other and other["letter"] != match["letter"]) or listed is not None
        verdict = _verdict(context, after)
        named = bool(_NAMES.search(context)) or _doubted(context, context + after)
        firm = not named and (bool(match["close"]) or re.match(FOLLOWS, after, re.IGNORECASE) is not None)
        last = (verdict != "mentioned" or not named) and _ENDS.fullmatch(after) is not None
        found.append(Mention(match["letter"], verdict, alternative, last, firm))
    return found


def _doubted(before: str, sentence: str) -> bool:
    return bool(_ASKED.search(sentence) or _BEFORE_DOUBTED.search(before) or _BLIND.search(before)) or is_unreal(
        sentence
    )


def _verdict(before: str, after: str) -> Verdict:
    if but := _ALL_BUT.search(before):
        return "suggested" if but["none"] or _RULED_OUT.match(after) else "rejected"
    if is_rejected(before, after):
        return "rejected"
    if _doubted(before, before + after) or _NAMES.search(before) or _CUT.match(after):
        return "mentioned"
    clause = re.search(
        r"(?:^|[.!?,;:\n]|\b(?:so|that|think|thus|but|and|therefore|because|believe|say))\s*$", before, re.I
    )
    if _BEFORE_STRONG.search(before) or (clause and _AFTER_STRONG.match(after)):
        return "affirmed"
    if clause and (_AFTER_CLOSED.match(after) or _AFTER_SAID.match(after) or _AFTER_OTHER.match(after)):
        return "affirmed"
    if (_ONLY.search(before) and _FITS.match(after)) or (_MADE.search(before) and _MADE_SO.match(after)):
        return "affirmed"
    if _INTRODUCED.fullmatch(before) and _ENDS.fullmatch(after):
        return "affirmed"
    return "suggested" if _BEFORE_WEAK.search(before) else "mentioned"
