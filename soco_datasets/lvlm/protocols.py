"""Published protocols as presets: the released prompt and, for each model family, the released settings.

`paper` follows the code released with SOCO (a fork of VLMEvalKit): its multiple-choice prompt, and the settings of the
models in table 3 of the paper. It fixes how a model is asked; the questions of the paper come from its TSVs
(`soco lvlm import`). The sampling restrictions of the Qwen models are the defaults of VLMEvalKit's model classes
(github.com/open-compass/VLMEvalKit, vlmeval/vlm/qwen2_vl and qwen3_vl). Its presence penalty of 1.5 for Qwen3-VL is
given to vLLM only, not to `transformers`, which has none: endpoints get it, and the record of a local model lists it as
`not_applied`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..data.questions.prompts import PromptTemplate
from ..errors import UsageError, unknown_name
from ..utils.foreign import read_json_text
from ..utils.paths import local_path
from .ask_options import AskOptions
from .model_choice import ModelOptions

PAPER_TEMPLATE = PromptTemplate(
    "paper",
    "Question: {question}\nOptions:\nA. {A}\nB. {B}\nC. {C}\nD. {D}\n"
    "Please select the correct answer from the options above. \n",
    exact=True,
)
INTERNVL_TEMPLATE = PromptTemplate(
    "paper-internvl",
    "{question}\nA. {A}\nB. {B}\nC. {C}\nD. {D}\nAnswer with the option's letter from the given choices directly.",
    exact=True,
    image_label="Image-{number}: ",
)
PROTOCOLS = ("paper",)


@dataclass(frozen=True)
class ReleasedSettings:
    """How the released code asks the models of one family.

    Attributes:
        family: as the paper names it.
        names: pattern that the model's name contains, letters in any case.
        model_types: `model_type` of a local checkpoint's config.json.
        model, asking: fields of `ModelOptions` and `AskOptions` that differ from the defaults.
        endpoint: further fields of `AskOptions`, for endpoints only.
        template: the prompt.
    """

    family: str
    names: str
    model_types: tuple[str, ...]
    asking: Mapping[str, Any]
    model: Mapping[str, Any] = field(default_factory=dict)
    template: PromptTemplate = PAPER_TEMPLATE
    endpoint: Mapping[str, Any] = field(default_factory=dict)


RELEASED = (
    ReleasedSettings(
        "Qwen2.5-VL",
        r"qwen2[._]5[-_]vl",
        ("qwen2_5_vl",),
        {"max_tokens": 2048, "temperature": 0.01, "top_p": 0.001, "top_k": 1, "repetition_penalty": 1.0},
        {"min_pixels": 1280 * 28 * 28, "max_pixels": 16384 * 28 * 28},
    ),
    ReleasedSettings(
        "Qwen3-VL",
        r"qwen3[-_]vl",
        ("qwen3_vl", "qwen3_vl_moe"),
        {"max_tokens": 16384, "temperature": 0.7, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.0},
        endpoint={"presence_penalty": 1.5},
    ),
    ReleasedSettings("InternVL3.5", r"internvl3[._]5", ("internvl",), {"max_tokens": 4096}, template=INTERNVL_TEMPLATE),
    ReleasedSettings("LLaVA-OV", r"llava[-_]?(?:onevision|ov)\b", ("llava_onevision",), {"max_tokens": 2048}),
    ReleasedSettings(
        "GPT-4o-2024-05-13",
        r"gpt-4o-2024-05-13",
        (),
        {"max_tokens": 2048, "image_size": 512, "image_detail": "low", "image_format": "jpeg"},
    ),
)


@dataclass(frozen=True)
class AppliedProtocol:
    """A model and how it is asked under a protocol."""

    model: ModelOptions
    options: AskOptions
    template: PromptTemplate


def apply_protocol(
    protocol: str, model: ModelOptions, options: AskOptions, given: Collection[str] = ()
) -> AppliedProtocol:
    """Fill in the released settings of a model's family.

    Args:
        protocol: of `PROTOCOLS`.
        model, options: as given.
        given: names of fields that were given on purpose: they stay, and the record lists them as changed.

    Raises:
        UsageError: an unknown protocol, or a model that the paper does not evaluate.
    """
    if protocol not in PROTOCOLS:
        raise unknown_name("protocol", protocol, PROTOCOLS)
    released = released_settings(model)
    local = dict(released.model) if not _is_remote(model) else {}
    remote = dict(released.endpoint) if _is_remote(model) else {}
    wanted = {**local, **released.asking, **remote}
    changed = sorted(name for name in given if name in wanted and _value(name, model, options) != wanted[name])
    kept = {name: value for name, value in wanted.items() if name not in given}
    record: dict[str, Any] = {"name": protocol, "family": released.family, "changed": changed}
    if _is_remote(model) and released.model:
        record["left_to_endpoint"] = dict(released.model)
    if not _is_remote(model) and released.endpoint:
        record["not_applied"] = dict(released.endpoint)
    return AppliedProtocol(
        dataclasses.replace(model, **{name: value for name, value in kept.items() if name in local}),
        dataclasses.replace(
            options, **{name: value for name, value in kept.items() if name not in local}, protocol=record
        ),
        released.template,
    )


def released_settings(model: ModelOptions) -> ReleasedSettings:
    """The settings of a model's family, known by its name or, for a folder, by the type in its config.json.

    Raises:
        UsageError: a model that the paper does not evaluate.
    """
    model_type = _model_type(local_path(model.model.removeprefix("soco_hf/")))
    for released in RELEASED:
        if model_type in released.model_types or re.search(released.names, model.model, re.IGNORECASE):
            return released
    raise UsageError(
        f"The paper gives no settings for {model.model!r}, so --protocol paper does not apply. It evaluates "
        f"{', '.join(released.family for released in RELEASED)}. Without --protocol any model can be asked."
    )


def _is_remote(model: ModelOptions) -> bool:
    from .model_choice import LOCAL, model_name

    return not model_name(model).startswith(f"{LOCAL}/")


def _value(name: str, model: ModelOptions, options: AskOptions) -> Any:
    return getattr(options, name) if hasattr(options, name) else getattr(model, name)


def _model_type(folder: Path) -> str | None:
    try:
        return str(read_json_text((folder / "config.json").read_bytes(), finite=False).get("model_type"))
    except (OSError, ValueError, AttributeError):
        return None
