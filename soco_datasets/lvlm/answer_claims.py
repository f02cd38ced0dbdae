"""What each sentence of an answer claims about the options that it names, and which option follows from all claims.

The text comes from `answer_text.marked_letters`: "@B" is an option, "@BC" are options beside each other. What stands
before and behind an option in its sentence decides what is claimed; the first rule that fits counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["rejects", "doubts", "gives", "supports", "mentions"]

_MOST = 300  # mentions that are read, the last ones: a model that repeats itself gives thousands
_NEAR = 200  # characters before and behind an option that are read

_BREAK = r"[,;:.!?@\n]|\b(?:because|since|as|and|but|while|whereas|so|which|unlike|rather|instead|though|although)\b"
_CLAUSE = rf"(?:(?!{_BREAK}).)"  # one character of the same clause
_BE = (
    r"(?:is|are|be|must be|should be|would be|will be|has to be|have to be|müsste|sollte|dürfte|muss|looks|seems|appears|feels|sounds|became|ist|es|est|è|é|lautet|sería|serait"
    r"|sarebbe|是|为|為|は|은|는|が|이)(?: to be| like)?(?: now| then| therefore| thus| hence| either| daher| also| donc)?"
)
_MARKED = r"(?:marked|reference|highlighted|indicated|query|source|original|first|same|red|blue|yellow|purple|green|arrow|ref|keypoint|described|given)"
_ANSWER = (
    r"(?:answers?|ans|choice|option|pick|guess|solution|selection|verdict|conclusion|prediction|result|response|output"
    r"|matche?s?|counterpart|equivalent|correspondence|letter|label|correct|selected|chosen|final|overall|candidate|one"
    r"|punkt|punto|ponto|lösung|antwort|respuesta|réponse|risposta|resposta|odpowiedź|đáp án|jawaban|svar|antwoord|cevap"
    r"|ответ|उत्तर|الإجابة|الجواب|คำตอบ|trả lời|richtig|korrekt)"
)
_PLACE = r"(?:(?:key)?point|location|place|spot|position|part|corner|area|region|feature|landmark|side|end|tip)"
_BEST = (
    r"(?:correct|best|answer|closest|nearest|most \w+|corresponding|matching|match|same|counterpart|choice|pick"
    r"|equivalent|correspondence|only|one|winner|guess|analogous|perfect|exact|obvious|good|likel\w+|plausible|better|right(?! \w)"
    r"|right (?:one|answer|choice|option|point|match|candidate|letter|because|as|since|and|here|for|location|spot|place))"
)
_CHOOSE = (
    r"(?:say|think|believe|guess|pick|choose|chose|chosen|select|selected|go(?:ing)? (?:with|for)|suggest|conclude|vote for|opt for|answer"
    r"|favou?r|bet on|bet|lean(?:ing)?(?: towards?| to)?|inclined to (?:say|choose)|meant?|settled? (?:on|for)|take|prefer|picked|suspect|give|label it|reckon"
    r"|(?:\S+ )?(?:confident|sure|certain|convinced)(?: (?:in|of|about))?)"
)
_ITEM = r"(?:^|[,;.|]|\b(?:yes|no|correct|incorrect|wrong|right|true|false))\W*"  # where an item of a list begins
_NOT_REALLY = r"(?:not|never|nobody|no one|hardly|neither|none|doubt\w*|un(?:clear|sure|certain|likely|able)|no way|nicht|weder|kein|nunca|ни|не|不|并非)"


@dataclass(frozen=True)
class Rule:
    """What a claim says where both patterns fit: `before` ends at the option, `after` begins behind it."""

    verdict: Verdict
    example: str
    before: str = ""
    after: str = ""

    def fits(self, before: str, after: str) -> bool:
        return bool(re.search(rf"(?:{self.before})\s*$", before) if self.before else True) and bool(
            re.match(rf"\s*+(?:[:)]\s*+)?(?:{self.after})", after) if self.after else True
        )


RULES = (
    # Verdicts on one option, of lists and tables and after questions.
    Rule("rejects", "Is it @B? No.", after=rf"[^@?\n]{{0,80}}\? no\b"),
    Rule("gives", "Is it @B? Yes.", after=rf"[^@?\n]{{0,80}}\? yes\b"),
    Rule("rejects", "@B: no", before=_ITEM, after=r"[:.)=–—-]*\s*(?:no|incorrect|wrong|false|mismatch|not|错误|不)\b(?! doubt)"),
    Rule("gives", "@B: yes", before=_ITEM, after=r"[:.)=–—-]*\s*(?:yes|correct|true|match(?:es)?|right(?= *[.!\n-]|$))(?=\W*$|\W*\n|[ .,]*[-–—,.(@])"),
    Rule("rejects", "@B: the ear - no", before=r"^\W*", after=r"[^@\n]{1,120}\W(?:no|incorrect|wrong|false|mismatch)\W*$"),
    Rule("gives", "@B: the ear - yes", before=r"^\W*", after=r"(?:(?!\bnot\b)[^@\n]){1,120}\W(?:yes|correct|true|matche?s?)\W*$"),
    # Rejected.
    Rule("gives", "No doubt it is @B.", before=rf"\bno(?:t a)? doubt,?{_CLAUSE}{{0,30}}|\bnothing (?:but|except)"),
    Rule("gives", "No option but @B fits.", before=r"\b(?:none|no one|no \S+|nothing)\s+(?:but|except(?: for)?|other than)"),
    Rule("gives", "Everything but @B is wrong.", before=r"\b(?:all|everything|any\w*|every \S+|all \S+)\s+(?:but|except(?: for)?|other than)", after=r"[^.;@]{0,40}\b(?:wrong|incorrect|ruled out|excluded|eliminated|on|in|different)\b"),
    Rule("rejects", "everything but @B", before=r"\b(?:all|everything|any\w*|every \S+|all \S+)\s+(?:but|except(?: for)?|other than)"),
    Rule(
        "rejects",
        "I do not think it is @B.",
        before=rf"\b{_NOT_REALLY}\b(?! only\b| sure,){_CLAUSE}{{0,60}}|(?:不是|并非)(?:点)?|\b(?:no|no such|wrong:|incorrect:|ni|né|pas|no es|non è|não é|n'est pas)\b",
    ),
    Rule(
        "rejects",
        "rather than @B",
        before=r"\b(?:unlike|except|excluding|exclude|without|eliminat\w+|reject\w*|rul(?:ed?|ing) out|discard\w*|instead of"
        r"|rather than|other than|than|over|versus|vs\.?|as opposed to|排除)(?: (?:either|both|for|at|in|on))?",
    ),
    Rule("gives", "@B (not @A)", after=r"[,(;]? ?(?:not|rather than|instead of|over|and not|but not|unlike) @"),
    Rule(
        "rejects",
        "@B is too low.",
        after=rf"(?!not only){_CLAUSE}{{0,40}}\b(?:not|incorrect|wrong|too \w+|distractors?|ruled out|out|unlikely|excluded|eliminated|discarded|off|farther"
        r"|further|elsewhere|other|different|opposite|mismatch\w*|second|no|less|fails?)\b|(?:错误|不正确|不对|不是|ではな)",
    ),
    Rule("rejects", "@B is tempting but it is on the other side.", after=r"[^.!?@\n]{0,80}\bbut (?:it|that|this)\b[^.!?@\n]{0,40}\b(?:not|wrong|opposite|other|different|too)\b"),
    Rule("gives", "@B is on the ear, similar to the marked point.", after=rf"[^@.!?\n]{{0,140}}\b(?:similar to|same as|like|as|identical to|matching|corresponding to|equivalent to|resembling) (?:the |that of the )?(?:\w+ )?{_MARKED}\b"),
    Rule("gives", "Like the marked point, @B is on the ear.", before=rf"\b(?:like|as in|similar to|as with) (?:the )?(?:\w+ )?{_MARKED}\b[^@.!?\n]{{0,40}},"),
    # Neither given nor rejected: asked, supposed, of second choice.
    Rule("doubts", "Should I choose @B?", before=r"^\W*(?:is|are|does|do|did|should|shall|could|can|would|which|what|where|how|why|am)\b.*", after=r"[^.!]*\?"),
    Rule("doubts", "Is @B the trunk?", before=r"^\W*(?:is|are|does|do|did|what about|how about|why|which)", after=r"[^.!]*\?"),
    Rule("doubts", "If it faced left, @B would fit.", before=r"^\W*(?:if|when|suppose|supposing|assum\w+|were|had|imagine|unless|otherwise)\b(?! (?:i|we|you|one)\b| forced| pressed| asked)(?:(?!\b(?:but|so|therefore)\b).)*"),
    Rule("doubts", "The next best is @B.", before=rf"\b(?:(?:second|next)[- ](?:best|choice|closest|option|candidate|most|guess|likely)|runner-?up|alternative(?:ly)?|otherwise|distractor|initially|at first)\b{_CLAUSE}{{0,30}}"),
    Rule("doubts", "First, @B.", before=r"^\W*(?:first,|next,|(?:let us|let's)\b(?! (?:go|say|pick|choose)))[^@]{0,20}"),
    Rule("doubts", "It is wrong, like @B.", before=r"(?<!looks )(?<!seems )(?<!sounds )(?<!feels )(?<!look )\blike"),
    Rule(
        "doubts",
        "It might be @B.",
        before=rf"\b(?:suppose|assum(?:e|ing)|imagine|wonder|(?<!i )consider(?:ing)?|examin(?:e|ing)|look(?:ing)? at|check(?:ing)?|compar(?:e|ing)"
        rf"|(?:start|begin)(?:n?ing)? with|between|might|may|could|maybe|perhaps|possibly|whether|if|first thought|people|some|others)\b{_CLAUSE}{{0,25}}",
    ),
    Rule("doubts", "@B would be right if it faced left.", after=r"[^.!?\n]{0,40}\bwould\b[^.!?\n]{0,60}\bif (?!(?:i|we|you|one|forced|pressed)\b)"),
    Rule("doubts", "I would choose @B if it faced left.", before=r".*\bwould\b.*", after=r"[^.,]{0,20}\bif (?:it|he|she|this|that|the|they)\b"),
    Rule("doubts", "@B might fit.", after=r"(?:might|may|could)\b"),
    Rule("doubts", "Therefore, @B does", after=r"(?:does|do|is|are|was|would|will|has|must|should|in|on|at|of|the|and|but|because|which|that)\s*$"),
    # Given as the answer.
    Rule("gives", "The hinge is marked. @B.", before=r"^(?:\W|\b(?:yes|no|ok|okay|sure|well|hmm+|wait)\b)*|^(?!(?:first|second|third|then|next|let)\b)[^@\n]{1,120},\s*", after=r"[^\w?]*$"),
    Rule("gives", "@B is closer.", after=r"(?:is|lies|looks|seems) (?:closer|nearer|better)\b(?=\W*$|,| than| to the (?:marked|ref|same))"),
    Rule("gives", "@B is where it would be.", after=r"is (?:where|what|the (?:\w+ )?(?:point|one|place|spot|location|candidate) (?:we|you|i)\b)"),
    Rule("gives", "@B is on the hinge, which is the marked point.", after=rf"[^@.;!?\n]{{0,80}}\b(?:represents?|is|marks|shows) the (?:\w+ )?{_MARKED} (?:point|location|part|one|position|keypoint)\b"),
    Rule("gives", "@B, I think.", after=r",? ?(?:i (?:think|believe|guess|suppose|reckon)|i would say|without (?:a |any )?doubt|no doubt|for sure|hands down|it (?:is|must be|has to be|will be)(?= *[.!]|$))"),
    Rule("gives", "I would go with @B.", before=rf"(?:^|\b(?:i|we|you|one|let us|let's|so|and|to|then|but)\b(?: (?:would|will|am|can|must|should|have to|had to|\w+ly|therefore|thus|hence|then))*,?|[,:])\s*{_CHOOSE}\b[,:]?(?: (?:that|it|this|the answer|{_BE}))*"),
    Rule("gives", "Ich wähle @B.", before=r"\b(?:ich (?:würde|wähle|nehme|denke)|je (?:choisis|dirais|prends)|elijo|escolho|scelgo|я (?:выбираю|думаю))(?:,? (?:es ist|que es|que c'est))?"),
    Rule("gives", "I'd label the match as @B.", before=r"\b(?:i|we) (?:would )?(?:label|mark|consider|deem|call|find)\b[^@.!?\n]{0,40}"),
    Rule("gives", "So, @B.", before=r"(?:^|[,.;:!?=(–—-]|\b(?:and|but|yet|is|are))\s*(?:so|therefore|thus|hence|consequently|accordingly|ergo|finally|instead|rather|daher|donc|因此|所以)\b[,:]?(?: it is| that is| this is)?", after=r"(?!\w+ is on\b)"),
    Rule("gives", "... but @B.", before=r"(?:\bbut|\bsondern|\bsino|\bmais|而是)"),
    Rule("gives", "leaves @B", before=r"\b(?:leaves|leaving|left with|remaining|left is|remains)(?: (?:us|me))?(?: with)?(?: only)?"),
    Rule("gives", "The answer is @B.", before=rf"\b{_ANSWER}\b\W{{0,3}}(?: [^@:=.!?\n]{{1,100}})??(?: {_BE}|'s|\s*[:=–—-]+)\s*[:=–—-]*\s*", after=r"(?!is (?:on|at|in|near|the (?!correct|best|right|answer|one))\b)"),
    Rule("gives", "The most similar point is @B.", before=rf"\b(?:{_BEST}|similar|{_MARKED}|analogous|desired|target|sought)(?: \w+)? {_PLACE}\b(?: [^@:=.!?\n]{{1,100}})?? (?:{_BE}|=|:)"),
    Rule("gives", "The point that corresponds to it is @B.", before=rf"\b{_PLACE}s? (?:that|which|corresponding|matching|closest|nearest|most|best)\b[^@.!?\n]{{0,140}} (?:{_BE}|=|:)"),
    Rule("gives", "Answer @B", before=rf"(?:^|\n|\b(?:the|my|final|correct)\s){_ANSWER}\b\W{{0,3}}", after=r"(?:\W*$|[.:(]|,)"),
    Rule("gives", "It is @B.", before=rf"\b(?:it|this|that|he|such|das|es|ce|c')(?: \w+ly)? ?{_BE}|c'est|es ist|si tratta(?: del)?|corresponds to", after=r"(?!\w+ that is on)"),
    Rule("gives", "正确答案是 @B", before=r"(?:答案|答|选择|选项|选|選|应选|故选|正确|正解|答え|정답|对应于|對應於|对应|匹配)\W*(?:的)?(?:点|選項|选项|为|是)*\W*(?:应该)?[是为為はが은는:]*"),
    Rule("gives", "@B 正确", after=r"(?:是)?(?:正确|が?正しい|が?正解|最?(?:对应|匹配|符合|吻合|接近)|与标记点|です|が対応|입니다|だ|이다|가 )"),
    Rule("gives", "Richtig ist @B.", before=r"(?:^|[.;,])\W*right:|\b(?:richtig|korrekt|correct|correcte|correcta|corretta|correta)(?: \w+)? (?:ist|est|es|è|é|is)(?: (?:daher|also|donc))?"),
    Rule("gives", "@B is the correct one.", after=rf"(?:,[^@,.;:!?\n]{{1,60}},\s*)?(?:{_BE}|must be)(?: [^@.,;:\n]{{1,30}})?? {_BEST}\b(?! (?:of|distractor|side)\b)"),
    Rule("gives", "@B is correct.", after=r"(?:(?:ist|es|est|è|é) )?(?:(?:la|die|der|das|le|o|a|il) )?(?:bonne|buena|richtig\w*|korrekt\w*|correct[oae]?|corrett[ao]|corret[ao]|giust[ao]|верн\w+|правильн\w+)\b"),
    Rule("gives", "@B matches the marked point.", after=rf"[^@.;:!?\n]{{0,60}}?\b(?:corresponds?|match(?:es)?|aligns?|fits|maps|entspricht|corresponde|correspond|corrisponde|соответствует)\b[^@.;!?\n]{{0,40}}\b(?:{_MARKED}|markiert\w*|marqu\w+|marcad\w+|segnat\w+|r[eé]f\w+|отмеч\w+|it)\b"),
    Rule("gives", "@B matches best.", after=r"(?:best )?(?:corresponds?|match(?:es)?|fits|remains|works|makes (?:the most )?sense)(?: (?:best|better|it|well|perfectly|than @\w+))*\s*(?:[.!,]|$|\n|because|since|as\b)"),
    Rule("gives", "@B fits better.", after=r"(?:fits|matches|corresponds|works|looks) (?:better|best|closest)\b"),
    Rule("gives", "@B is in the same place.", after=r"(?:marks|shows|indicates|represents|denotes|has|shares|(?:is|lies|sits|appears)(?: located| placed| positioned)?(?: on| at| in)?)(?: the)? (?:same|equivalent|corresponding|matching|analogous|identical)\b"),
    Rule("gives", "@B is my answer.", after=r"[^@.!?\n]{0,110}\b(?:that|this|it|which|and|so it)(?: is| would be| must be)(?: then| therefore| thus)? (?:my|the) (?:\w+ )?(?:answer|choice|pick|match|counterpart|one)\b"),
    Rule("gives", "Only @B is on the ear.", before=r"\bonly", after=r"(?:fits|matches|remains|works|corresponds|makes|is|lies|sits)\b"),
    Rule("gives", "That makes @B the answer.", before=r"\b(?:makes?|making|leaves|consider|deem)", after=rf"(?:(?:as|to be) )?(?:the|our|my) (?:\w+ )?{_BEST}"),
    # Speaks for an option that nothing else speaks against.
    Rule("supports", "The ear is marked by @B.", before=rf"\b(?:{_BE}|corresponds?(?: \w+)? (?:to|with)|match(?:es|ing)?(?: with)?|maps?(?: on)?to|aligns? with|(?:marked|labell?ed|shown|denoted|indicated|identified|represented|designated)(?: (?:by|with|as))?|equals?|refers to|points to|(?:lies|located|found|sits|placed|positioned) at|(?:carries|has|bears) the|closest to|belongs to|equivalent to|same as|entspricht|corresponde a|correspond à|(?<!@[A-Z])[=:])"),
)  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """What a sentence says about one option or about several beside each other ("AB")."""

    letters: str
    verdict: Verdict
    ends: bool  # the sentence ends with it


def claims(text: str) -> list[Claim]:
    """The claims of a text of `marked_letters`, in its order.

    >>> [(claim.letters, claim.verdict) for claim in claims("@A and @D are wrong. it is @B, not @C.")]
    [('A', 'mentions'), ('D', 'rejects'), ('B', 'gives'), ('C', 'rejects')]
    """
    found: list[Claim] = []
    first, *rest = text.rsplit("@", _MOST)
    last = "@".join([first[-_NEAR:] if len(rest) == _MOST else first, *rest])
    for sentence in re.split(r"(?<=[.!;])\s+|(?<=[?])\s+(?!yes\b|no\b)|\n", last):
        for match in re.finditer(r"@([A-Z]+)", sentence):
            before, after = sentence[max(0, match.start() - _NEAR) : match.start()], sentence[match.end() :][:_NEAR]
            verdict = next((rule.verdict for rule in RULES if rule.fits(before, after)), "mentions")
            found.append(Claim(match[1], verdict, not re.search(r"[\w:]", after)))
    return found


def claimed_letter(text: str) -> str | None:
    """The letter that follows from the claims of a text, None for none or more than one.

    The last option that is given counts; else the only one left where all others are rejected; else the only one that
    is supported, or that a sentence ends with, if no other is left.
    """
    every = claims(text)
    given = [claim for claim in every if claim.verdict == "gives"]
    if given:
        return given[-1].letters if len(given[-1].letters) == 1 else None
    rejected = {letter for claim in every if claim.verdict == "rejects" for letter in claim.letters}
    left = [claim for claim in every if claim.verdict != "rejects" and not set(claim.letters) <= rejected]
    letters = {letter for claim in left for letter in claim.letters} - rejected
    if len(letters) != 1 or any(claim.verdict == "doubts" for claim in left):
        return None
    enough = len(rejected & set("ABCD")) == 3 or any(claim.verdict == "supports" or claim.ends for claim in left)
    return letters.pop() if enough else None
