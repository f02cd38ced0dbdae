"""The rules by which a sentence rejects, doubts or gives an option: its place is the " @ " of a pattern.

The words before " @ " end at the option, those behind it begin there; each rule has an example. The text is that of
`answer_text.marked_letters`: small letters, no markup, no articles before an option, no "in the second image".
"""

from __future__ import annotations

from typing import Literal

Verdict = Literal["rejects", "doubts", "states", "gives", "supports"]

_BREAK = r"[,;:.!?@\n]|\b(?:because|since|as|and|but|while|whereas|so|which|unlike|rather|instead|though|although)\b"
_CLAUSE = rf"(?:(?!{_BREAK}).)"  # one character of the same clause
_SPAN = r"(?:(?!\b(?:not|no|nor|too)\b)[^@.;!?\n])"  # one character of a statement that denies nothing
_BE = (
    r"(?:is|are|be|must be|should be|would be|will be|has to be|have to be|müsste|sollte|dürfte|muss|looks"
    r"|seems|appears|feels|sounds|became|ist|es|est|è|é|lautet|sería|serait"
    r"|sarebbe|是|为|為|は|은|는|が|이)(?: to be| like)?"
    r"(?: now| then| therefore| thus| hence| either| daher| also| donc)?"
)
_MARKED = (
    r"(?:marked|reference|highlighted|indicated|query|source|original|first|same|red|blue|yellow|purple"
    r"|green|arrow|ref|keypoint|described|given)"
)
_ANSWER = (
    r"(?:answers?|ans|choice|option|pick|guess|solution|selection|verdict|conclusion|prediction|result"
    r"|response|output"
    r"|matche?s?|counterpart|equivalent|correspondence|letter|label|correct|selected|chosen|final|overall"
    r"|candidate|one"
    r"|punkt|punto|ponto|lösung|antwort|respuesta|réponse|risposta|resposta|odpowiedź|đáp án|jawaban|svar"
    r"|antwoord|cevap|ответ|उत्तर|الإجابة|الجواب|คำตอบ|trả lời|richtig|korrekt)"
)
_PLACE = r"(?:(?:key)?point|location|place|spot|position|part|corner|area|region|feature|landmark|side|end|tip)"
_RIGHT = (
    r"(?:correct|answer|choice|pick|winner|guess|in question|right(?! \w)|right to me"
    r"|right (?:one|answer|choice|option|point|match|candidate|letter|because|as|since|and|here|for"
    r"|location|spot|place))"
)
_APPOSITION = r"(?:,[^@,.;:!?\n]{1,60},\s*|,\s*)?"
_BEST = (
    rf"(?:{_RIGHT}|best|closest|nearest|most \w+|corresponding|matching|match|same|counterpart"
    r"|equivalent|correspondence|only|one|analogous|perfect|exact|target|obvious|good|likel\w+|plausible|better)"
)
_CHOOSE = (
    r"(?:say|think|believe|guess|pick|choose|chose|chosen|select|selected|go(?:ing)? (?:with|for)|suggest"
    r"|conclude|vote for|opt for|answer"
    r"|favou?r|bet on|bet|lean(?:ing)?(?: towards?| to)?|inclined to (?:say|choose)|meant?|settled? (?:on"
    r"|for)|take|prefer|picked|suspect|suppose|assume|give|label it|reckon"
    r"|(?:\S+ )?(?:confident|sure|certain|convinced)(?: (?:in|of|about))?)"
)
_ITEM = r"(?:^|[,;.|]|\b(?:yes|no|correct|incorrect|wrong|right|true|false))\W*"  # where an item of a list begins
_NOT_REALLY = (
    r"(?:not|never|nobody|no one|hardly|neither|none|doubt\w*|un(?:clear|sure|certain|likely|able)|no way"
    r"|nicht|weder|kein|nunca|ни|не|不|并非)"
)

_LISTED_NO = {
    "@B: no": rf"{_ITEM} @ [:.,)=–—-]*\s*(?:no|incorrect|wrong|false|mismatch|not|错误|不)\b(?! doubt| question"
    rf"| \w+ @)",
}
_LISTED_YES = {
    "Is it @B? Yes.": r"@ [^@?\n]{0,80}\? yes\b",
    "@B: yes": rf"{_ITEM} @ [:.)=–—-]*\s*(?:yes|correct|true|match(?:es)?|right(?= *[.!\n-]|$))(?=\W*$|\W*\n"
    rf"|[ .,]*[-–—,.(@])",
    "@B: the ear - yes": r"^\W* @ (?:(?!\bnot\b)[^@\n]){1,120}\W(?:yes|correct|true|matche?s?)\W*$",
    "No doubt it is @B.": rf"\bno(?:t a)? doubt,?{_CLAUSE}{{0,30}}|\bnothing (?:but|except) @",
    "No option but @B fits.": r"\b(?:none|no one|no \S+|nothing|not be any\w*)(?: [^@.,]{1,25})?\s+(?:but|than"
    r"|except(?: for)?|other than) @",
    "Everything but @B is wrong.": r"\b(?:all|everything|any\w*|every \S+|all \S+)\s+(?:but|except(?: for)?"
    r"|other than) @ [^.;@]{0,40}\b(?:wrong|incorrect|ruled out|excluded|eliminated|on|in|different)\b",
}
_REJECTED_BEFORE = {
    "everything but @B": r"\b(?:all|everything|any\w*|every \S+|all \S+)\s+(?:but|except(?: for)?|other than) @",
    "I do not think it is @B.": rf"\b{_NOT_REALLY}\b(?! only\b| sure,){_CLAUSE}{{0,60}}|(?:不是|并非)(?:点)?|\b(?:no"
    rf"|no (?:such|longer)|wrong:|incorrect:|ni|né|pas|no es|non è|não é|n'est pas)\b @",
    "rather than @B": r"\b(?:unlike|except|excluding|exclude|without|eliminat\w+|reject\w*|rul(?:ed?|ing) out"
    r"|discard\w*"
    r"|instead of|rather than|other than|than|from|over|versus|vs\.?|as opposed to|排除)(?: (?:either|both|for|at"
    r"|in|on))? @",
}
_PREFERRED = {
    "@B (not @A)": r"@ [,(;]? ?(?:not|rather than|instead of|over|and not|but not|unlike) @",
}
_REJECTED_BEHIND = {
    "@B is too low.": rf"@ (?!not only){_CLAUSE}{{0,40}}\b(?:not|incorrect|wrong|too \w+|distractors?|ruled out|out"
    rf"|unlikely|excluded|eliminated|discarded|off|farther|further|elsewhere|other|different|opposite|mismatch\w*"
    rf"|second(?=\W*$| (?:best|choice|closest|most))|no|less|fails?)\b|(?:错误|不正确|不对|不是|ではな)",
    "@B is on the hood, which is not the marked part.": r"@ [^@.;!?\n]{0,120}\bwhich (?:is|does|are|do|was|has)"
    r"\b[^@.;!?\n]{0,30}\b(?:not|too|wrong|different|incorrect|no|other|opposite)\b",
    "@B is tempting but it is on the other side.": r"@ [^.!?@\n]{0,80}\bbut (?:it|that"
    r"|this)\b[^.!?@\n]{0,40}\b(?:not|wrong|opposite|other|different|too)\b",
}
_LIKE_THE_MARKED = {
    "@B is on the ear, similar to the marked point.": rf"@ {_SPAN}{{0,140}}\b(?:similar(?:ly)? to|same as|like|as"
    rf"|identical to|matching|corresponding to|equivalent to|resembling) (?:the |that of the )?(?:\w+ )?{_MARKED}\b",
    "Like the marked point, @B is on the ear.": rf"\b(?:like|as in|similar to"
    rf"|as with) (?:the )?(?:\w+ )?{_MARKED}\b[^@.!?\n]{{0,40}}, @",
}
_DOUBTED = {
    "Should I choose @B?": r"^\W*(?:is|are|does|do|did|should|shall|could|can|would|which|what|where|how|why"
    r"|am)\b.* @ [^.!]*\?",
    "If it faced left, @B would fit.": r"^\W*(?:if|when|suppose|supposing|assum\w+|were|had|imagine|unless"
    r"|otherwise)\b(?! (?:i|we|you|one)\b| forced| pressed| asked| \w+ing\b)(?:(?!\b(?:but|so|therefore)\b).)* @",
    "The next best is @B.": rf"\b(?:(?:second|next)[- ](?:best|choice|closest|option|candidate|most|guess|likely)"
    rf"|runner-?up|alternative(?:ly)?|otherwise|distractor|initially|at first)\b{_CLAUSE}{{0,30}} @",
    "First, @B.": r"^\W*(?:first,|next,|let (?:us|me)\b(?! (?:go|say|pick|choose)))[^@]{0,20} @",
    "Near the roof is @B.": r"^\W*(?:near|on|at|above|below|next to|under|beside|behind)\b[^,@]{0,40}(?<!it) (?:is"
    r"|lies) @",
    "@B?? I do not know.": r"^\W* @ \?",
    "A naive guess would be @B.": rf"\b(?:naive|tempting|common|incorrect|previous)\b{_CLAUSE}{{0,30}} @",
    "@A, with @B as second choice": r"@ as (?:the |a )?(?:second|alternative|runner|distant|next|back)",
    "There is a point @B.": r"\bthere (?:is|are)\b[^@,.]{0,30} @",
    "It is as good as @B.": r"\bas \w+ as @",
    "It is wrong, like @B.": r"(?<!looks )(?<!seems )(?<!sounds )(?<!feels )(?<!look )\blike @",
    "It might be @B.": rf"(?<!i )\b(?:suppose|assum(?:e|ing)|imagine|wonder|consider(?:ing)?|examin(?:e|ing)"
    rf"|look(?:ing)? at"
    rf"|check(?:ing)?|compar(?:e|ing)|(?:start|begin)(?:n?ing)? with|between|might|may|could|maybe|perhaps"
    rf"|possibly|whether|if|first thought|people|some|others)\b{_CLAUSE}{{0,25}} @",
    "@B would be right if it faced left.": r"@ [^.!?\n]{0,40}\bwould\b[^.!?\n]{0,60}\bif (?!(?:i|we|you|one|forced"
    r"|pressed)\b)",
    "I would choose @B if it faced left.": r".*\bwould\b.* @ [^.,]{0,20}\bif (?:it|he|she|this|that|the|they)\b",
    "Therefore, @B does": r"@ (?:does|do|is|are|was|would|will|has|must|should|in|on|at|of|the|and|but|because|which"
    r"|that)\s*$",
}
_STATED = {
    "The hinge is marked. @B.": r"^(?:\W|\b(?:yes|no|ok|okay|sure|well|hmm+|wait)\b)*|^(?!(?:first|second|third|then"
    r"|next|let)\b)[^@\n]{1,120},\s* @ [^\w?]*$",
    "It is not the ear, @B.": r"(?:\b(?:not|no|wait|either|vs)\b|\?)[^.:]*,\s*(?:(?:no|wait|then)\b ?)* @ [^\w?]*$",
    "That is wrong, @B is.": r"@ (?:is|does)[.!]\W*$",
    "@B, I think.": r"@ ,? ?(?:i (?:think|believe|guess|suppose|reckon)|i would say|without (?:a |any )?doubt|no doubt"
    r"|for sure|hands down|it (?:is|must be|has to be|will be)(?= *[.!]|$))",
    "I would go with @B.": rf"(?:^|\b(?:i|we|you|one|let us|let's|so|and|to|then|but)\b(?: (?:would|will|am|can|must"
    rf"|should|have to|had to|\w+ly|therefore|thus|hence|then))*,?|[,:])\s*{_CHOOSE}\b[,:]?(?: (?:that|it|this"
    rf"|the answer|{_BE}))* @",
    "Ich wähle @B.": r"\b(?:ich (?:würde|wähle|nehme|denke)|je (?:choisis|dirais|prends)|elijo|escolho|scelgo"
    r"|я (?:выбираю|думаю))(?:,? (?:es ist|que es|que c'est))? @",
    "I label the match as @B.": r"\b(?:i|we) (?:would )?(?:label|mark|consider|deem|call|find)\b[^@.!?\n]{0,40} @",
    "So, @B.": r"(?:^|[,.;:!?=(–—-]|\b(?:and|but|yet|is|are))\s*(?:so|therefore|thus|hence|consequently|accordingly"
    r"|ergo|finally|instead|rather|daher|donc|因此|所以)\b[,:]?(?: it is| that is| this is)? @ (?!\w+ is on\b)",
    "... but @B.": r"(?:\bbut|\bsondern|\bsino|\bmais|而是) @",
    "leaves @B": r"\b(?:leaves|leaving|left with|remaining|left is|remains)(?: (?:us|me))?(?: with)?(?: only)? @",
    "The answer is @B.": rf"\b{_ANSWER}\b\W{{0,3}}(?: [^@:=.!?\n]{{1,100}})??(?: {_BE}|'s"
    rf"|\s*[:=–—-]+)\s*[:=–—-]*\s* @ (?!is (?:on|at|in|near|the (?!correct|best|right|answer|one))\b)",
    "Answer @B": rf"(?:^|\n|\b(?:the|my|final|correct|first)\s){_ANSWER}\b\W{{0,3}} @ (?:\W*$|[.:(]|,)",
    "It is @B.": rf"\b(?:it|this|that|he|such|das|es|ce|c')(?: \w+ly)? ?{_BE}|c'est|es ist|si tratta(?: del)?"
    rf"|corresponds to @ (?!\w+ that is on)",
    "正确答案是 @B": r"(?:答案|答|选择|选项|选|選|应选|故选|正确|正解|答え|정답"
    r"|对应于|對應於|对应|匹配)\W*(?:的)?(?:点|選項|选项|为|是)*\W*(?:应该)?[是为為はが은는:]* @",
    "@B 正确": r"@ (?:是)?(?:正确|が?正しい|を選び|번|が?正解|最?(?:对应|匹配|符合|吻合|接近)|与标记点"
    r"|です|が対応|입니다|だ|이다|가 )",
    "Richtig ist @B.": r"(?:^|[.;,])\W*right:|\b(?:richtig|korrekt|correct|correcte|correcta|corretta"
    r"|correta)(?: \w+)? (?:ist|est|es|è|é|is)(?: (?:daher|also|donc))? @",
    "@B is the correct one.": rf"@ {_APPOSITION}{_BE}(?: [^@.,;:\n]{{1,30}})?? {_RIGHT}\b(?! (?:of|distractor"
    rf"|side)\b)",
    "The most similar point is @B.": rf"\b(?:{_BEST}|similar|{_MARKED}|analogous|desired|target"
    rf"|sought)(?: \w+)? {_PLACE}\b(?: [^@:=.!?\n]{{1,100}})?? (?:{_BE}|=|:) @",
    "@B wins.": r"@ (?:wins|only|alone|is it|gets my vote|would (?:fit|match|work))\b(?=\W*$| best)",
    "@B is correct.": r"@ (?:(?:ist|es|est|è|é) )?(?:(?:la|die|der|das|le|o|a|il) )?(?:bonne|buena|richtig\w*"
    r"|korrekt\w*|correct[oae]?|corrett[ao]|corret[ao]|giust[ao]|верн\w+|правильн\w+)\b",
    "@B is my answer.": r"@ [^@.!?\n]{0,110}\b(?:that|this|it|which|and|so it)(?: is| would be| must be)(?: then"
    r"| therefore| thus)? (?:my|the) (?:\w+ )?(?:answer|choice|pick|match|counterpart|one)\b",
    "That makes @B the answer.": rf"@ (?:(?:as|to be) (?:the |our |my )?(?:\w+ )?|(?:the|our|my) (?:\w+ )?){_BEST}\b",
}
_GIVEN = {
    "@B is closer.": r"@ (?:is|lies|looks|seems) (?:closer|nearer|better)\b(?=\W*$|,| than| to the (?:marked|ref"
    r"|same))",
    "@B comes closest.": r"@ comes (?:the )?closest\b",
    "@B is where it would be.": r"@ is (?:where|what|the (?:\w+ )?(?:point|one|place|spot|location|candidate) (?:we"
    r"|you|i)\b)",
    "@B is on the hinge, which is the marked point.": rf"@ {_SPAN}{{0,80}}\b(?:represents?|is|marks"
    rf"|shows) the (?:\w+ )?{_MARKED} (?:point|location|part|one|position|keypoint)\b",
    "@B is the closest one.": rf"@ {_APPOSITION}{_BE}(?: [^@.,;:\n]{{1,30}})?? {_BEST}\b(?! (?:of|distractor|side)\b)",
    "@B matches the marked point.": rf"@ {_SPAN}{{0,140}}?\b(?:corresponds?|match(?:es)?|aligns?|fits|maps"
    rf"|entspricht|corresponde|corrisponde|соответствует)\b{_SPAN}{{0,40}}\b(?:{_MARKED}|markiert\w*|marqu\w+"
    rf"|marcad\w+|segnat\w+|r[eé]f\w+|отмеч\w+|it)\b",
    "@B matches best.": r"@ (?:best )?(?:corresponds?|match(?:es)?|fits|remains|works"
    r"|makes (?:the most )?sense)(?: (?:best"
    r"|better|it|well|perfectly|than @\w+))*\s*(?:[.!,]|$|\n|because|since|as\b)",
    "@B is in the same place.": r"@ (?:marks|shows|indicates|represents|denotes|has|shares|(?:is|lies|sits"
    r"|appears)(?: located| placed"
    r"| positioned)?(?: on| at| in)?)(?: the)? (?:same|equivalent|corresponding|matching|analogous|identical)\b",
    "Only @B is on the ear.": r"\bonly @ (?:fits|matches|remains|works|corresponds|makes|is|lies|sits)\b",
}
_SUPPORTED = {
    "The ear is marked by @B.": rf"\b(?:{_BE}|corresponds?(?: \w+)? (?:to|with)|match(?:es|ing)?(?: with)?"
    rf"|maps?(?: on)?to|aligns? with"
    rf"|(?:marked|labell?ed|shown|denoted|indicated|identified|represented|designated)(?: (?:by|with|as))?"
    rf"|equals?|refers to|points to|(?:lies|located|found|sits|placed|positioned) at"
    rf"|(?:corresponds to|matches) the (?:location|position|place) of|(?:carries|has"
    rf"|bears) the|closest to|belongs to|equivalent to|same as|entspricht|corresponde a|correspond à"
    rf"|(?<!@[A-Z])[=:]) @",
}

# The first rule that matches decides. "states" names the answer. "gives" says that an option corresponds, which a text
# may say of two options. "supports" counts only if the text says nothing about other options.
RULES: tuple[tuple[Verdict, dict[str, str]], ...] = (
    ("rejects", _LISTED_NO),
    ("states", _LISTED_YES),
    ("rejects", _REJECTED_BEFORE),
    ("states", _PREFERRED),
    ("rejects", _REJECTED_BEHIND),
    ("gives", _LIKE_THE_MARKED),
    ("doubts", _DOUBTED),
    ("states", _STATED),
    ("gives", _GIVEN),
    ("supports", _SUPPORTED),
)
