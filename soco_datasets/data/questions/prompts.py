"""What a model is asked, from a row and a template file. The wording of the default template is ours, in BLINK's way.

A row holds the question in the words of the default template; a template of your own that words a setting anew is
filled from the row's fields, and one that leaves it out keeps the row's words (so it also fits imported questions).
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from ...errors import DataNotFoundError, UsageError, unknown_name
from ...utils.english import with_article
from ...utils.paths import local_path

_FIELD = re.compile(r"\{([A-Za-z_]\w*)\}")
_LETTERS = "ABCD"
_SETTINGS = ("vis", "vis_desc", "desc")
_QUESTION_FIELDS = ("category", "description", *_LETTERS)
_PROMPT_FIELDS = ("question", *_QUESTION_FIELDS)


@dataclass(frozen=True)
class Prompt:
    """What to send: the pictures, as columns of the row in the order they are shown, then the text."""

    images: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class PromptTemplate:
    """A wording.

    Attributes:
        name: what records call it.
        text: the whole prompt, with {question} and {A} to {D}.
        questions: setting -> the question, with {category} and {description}; settings left out keep a row's words.
    """

    name: str
    text: str
    questions: Mapping[str, str] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """Hex sha256 of the wording: equal for the default one, a copy of its file, and the rows' own words."""
        own = {s: text for s, text in self.questions.items() if text != DEFAULT_TEMPLATE.questions.get(s)}
        text = json.dumps([self.text, own], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()

    def question(self, row: Mapping[str, Any]) -> str:
        """The question in words, without options.

        Raises:
            UsageError: the template needs a field that the row does not have (imported questions have no description).
        """
        template = self.questions.get(row["setting"])
        return str(row["question"]) if template is None else self._fill(template, row)

    def render(self, row: Mapping[str, Any]) -> Prompt:
        """The prompt of a row of the config `lvlm`. Raises as `question` does."""
        worded = {**row, "question": self.question(row)}
        images = [name for name in ("source_image", "target_image") if row[f"{name}_id"] is not None]
        return Prompt(tuple(images), self._fill(self.text, worded))

    def _fill(self, template: str, row: Mapping[str, Any]) -> str:
        category = row.get("category")
        values = {
            "question": row.get("question"),
            "category": None if category is None else with_article(str(category).replace("_", " ")),
            "description": _lowered(row.get("description")),
            **dict(zip(_LETTERS, row["options"], strict=True)),
        }

        def value(match: re.Match[str]) -> str:
            found = values[match[1]]
            if found is None:
                raise UsageError(
                    f"The template {self.name!r} uses {{{match[1]}}}, which row {row.get('index')} of setting "
                    f"{row.get('setting')!r} does not have. Imported questions have no descriptions: leave their "
                    "wording out of the template's [question]."
                )
            return str(found)

        return _FIELD.sub(value, template).strip()


def _lowered(text: object) -> str | None:
    """A description inside a sentence: its first letter small, unless the word is an abbreviation."""
    if not isinstance(text, str) or not text:
        return None
    return text if text[1:2].isupper() else text[0].lower() + text[1:]


def load_template(path: str | Path | None = None) -> PromptTemplate:
    """The template in a TOML file (see `blink.toml` beside this file); without a path, the rows' own words.

    Raises:
        DataNotFoundError: no such file.
        UsageError: it is no template, or uses a field or a setting there is not.
    """
    if path is None:
        return replace(DEFAULT_TEMPLATE, questions={})
    try:
        text = local_path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataNotFoundError(f"The prompt template {path} cannot be read ({error}).") from error
    return _parse(text, str(path), DEFAULT_TEMPLATE.text)


def _parse(text: str, where: str, fallback: str | None) -> PromptTemplate:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"The prompt template {where} is not TOML: {error}.") from error
    for key in data:
        if key not in ("name", "question", "prompt"):
            raise unknown_name(f"part of the prompt template {where}", key, ("name", "question", "prompt"))
    questions, prompt = data.get("question", {}), data.get("prompt", {})
    if not isinstance(questions, dict) or not isinstance(prompt, dict) or not set(prompt) <= {"text"}:
        raise UsageError(f"The prompt template {where} wants tables [question] and [prompt] with `text`.")
    for setting, template in questions.items():
        if setting not in _SETTINGS:
            raise unknown_name(f"setting in [question] of {where}", setting, _SETTINGS)
        _check_fields(template, f"question.{setting} of {where}", _QUESTION_FIELDS)
    body = _check_fields(prompt.get("text", fallback), f"prompt.text of {where}", _PROMPT_FIELDS)
    return PromptTemplate(str(data.get("name", Path(where).stem)), body, questions)


def _check_fields(template: object, where: str, known: tuple[str, ...]) -> str:
    if not isinstance(template, str) or not template.strip():
        raise UsageError(f"{where} must be text.")
    for name in _FIELD.findall(template):
        if name not in known:
            raise unknown_name(f"field in {where}", name, known)
    return template


_DEFAULT_FILE = "blink.toml"
DEFAULT_TEMPLATE = _parse((files(__package__) / _DEFAULT_FILE).read_text(encoding="utf-8"), _DEFAULT_FILE, None)
