"""Processors with the settings of the released checkpoints, the counts of image tokens worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers", reason="local models need transformers (extra models)")

from helpers.tiny_vlm import FAMILIES, TEMPLATE
from PIL import Image

from soco_datasets.features.opening import open_checkpoint_folder
from soco_datasets.lvlm.hf_model import Chat, VisionLanguageModel, load_vision_language_model
from soco_datasets.lvlm.hf_processor import load_processor, processor_record

HALVES = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
GRID = [[384 * rows, 384 * columns] for rows in range(1, 7) for columns in range(1, 7)]
RELEASED: dict[str, dict[str, Any]] = {
    "qwen2_5_vl": {
        "preprocessor_config.json": {
            "image_processor_type": "Qwen2VLImageProcessor",
            "processor_class": "Qwen2_5_VLProcessor",
            "min_pixels": 3136,
            "max_pixels": 12845056,
            "patch_size": 14,
            "merge_size": 2,
        },
    },
    "qwen3_vl": {
        "preprocessor_config.json": {
            "image_processor_type": "Qwen2VLImageProcessorFast",
            "processor_class": "Qwen3VLProcessor",
            "size": {"longest_edge": 16777216, "shortest_edge": 65536},
            "patch_size": 16,
            "temporal_patch_size": 2,
            "merge_size": 2,
            **HALVES,
        },
    },
    "llava_onevision": {
        "preprocessor_config.json": {
            "image_processor_type": "LlavaOnevisionImageProcessor",
            "processor_class": "LlavaOnevisionProcessor",
            "size": {"height": 384, "width": 384},
            "image_grid_pinpoints": GRID,
            **HALVES,
        },
        "processor_config.json": {
            "processor_class": "LlavaOnevisionProcessor",
            "image_token": "<image>",
            "num_image_tokens": 729,
            "vision_feature_select_strategy": "full",
        },
    },
    "internvl": {
        "preprocessor_config.json": {
            "image_processor_type": "GotOcr2ImageProcessorFast",
            "processor_class": "InternVLProcessor",
            "size": {"height": 448, "width": 448},
            "crop_to_patches": False,
            "min_patches": 1,
            "max_patches": 12,
        },
        "processor_config.json": {"processor_class": "InternVLProcessor", "image_seq_length": 256},
    },
}
# Tokens of one picture of 500x375, in a question with two pictures and in one with a single picture:
# 18x13 merged patches of 28 pixels; 16x12 of 32; 27x27 and a new line, or that and 27x36 of a 768x384 canvas with a new
# line each row; 4x3 tiles and the whole picture, 256 each.
TOKENS = {
    "qwen2_5_vl": (234, 234),
    "qwen3_vl": (192, 192),
    "llava_onevision": (27 * 27 + 1, 27 * 27 + 27 * 36 + 27),
    "internvl": (13 * 256, 13 * 256),
}
PLACEHOLDERS = {"llava_onevision": "<image>", "internvl": "<IMG_CONTEXT>"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("families")
    return {name: save(root / name) for name, save in FAMILIES.items()}


def photograph(color: str = "gray") -> Image.Image:
    return Image.new("RGB", (500, 375), color)


@pytest.mark.parametrize("family", FAMILIES)
def test_pictures_become_as_many_tokens_as_in_the_released_models(folders: dict[str, Path], family: str) -> None:
    for name, content in RELEASED[family].items():
        (folders[family] / name).write_text(json.dumps(content))
    processor = load_processor(open_checkpoint_folder(folders[family], label=family))
    model = VisionLanguageModel(None, processor, "cpu", None, None)
    token = processor.tokenizer.convert_tokens_to_ids(PLACEHOLDERS.get(family, "<|image_pad|>"))
    both, one = TOKENS[family]
    inputs = model._inputs(
        [Chat((photograph(), photograph(), "Which point of the two pictures?")), Chat((photograph(), "Which?"))]
    )
    assert (inputs["input_ids"] == token).sum(dim=1).tolist() == [2 * both, one]
    length = int(inputs["attention_mask"][1].sum())
    assert inputs["attention_mask"][1, -length:].all()
    assert not inputs["attention_mask"][1, :-length].any()


def test_the_record_says_what_is_done_not_what_the_file_says(folders: dict[str, Path]) -> None:
    record = processor_record(load_processor(open_checkpoint_folder(folders["internvl"], label="internvl")))
    assert record["crop_to_patches"] is True
    assert (record["min_patches"], record["max_patches"]) == (1, 12)


def words(color: str) -> str:
    return TEMPLATE.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>").replace("assistant", color)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"chat_template.jinja": words("jinja")}, "jinja"),
        ({"chat_template.json": json.dumps({"chat_template": words("json")})}, "json"),
        ({"tokenizer_config.json": words("tokenizer")}, "tokenizer"),
        ({"chat_template.jinja": words("default"), "additional_chat_templates/tools.jinja": "{{ 0 }}"}, "default"),
    ],
)
def test_a_chat_template_is_found_wherever_releases_have_it(tmp_path: Path, files: dict[str, str], found: str) -> None:
    folder = FAMILIES["qwen2_5_vl"](tmp_path / "m")
    (folder / "chat_template.jinja").unlink()
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        if name == "tokenizer_config.json":
            text = json.dumps({**json.loads((folder / name).read_text()), "chat_template": text})
        (folder / name).write_text(text)
    model = load_vision_language_model(folder, device="cpu")
    ids = model._inputs([Chat((photograph(), "Which?"))])["input_ids"][0]
    assert model.processor.tokenizer.decode(ids).endswith(f"Which?<|im_end|>\n<|im_start|>{found}\n")
    plain = load_vision_language_model(FAMILIES["qwen2_5_vl"](tmp_path / "plain"), device="cpu")
    name = "chat_template_hash"
    assert model.record["processor"][name] != plain.record["processor"][name]


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl", "llava_onevision"])
def test_control_tokens_inside_a_question_are_text(folders: dict[str, Path], family: str) -> None:
    model = load_vision_language_model(FAMILIES[family](folders[family] / "again"), device="cpu")
    told = "Is <image> or <|image_pad|> a picture?<|im_end|>"
    ids = model._inputs([Chat((photograph(), told))])["input_ids"][0]
    ends = model.processor.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert int((ids == ends).sum()) == 1
    assert told in model.processor.tokenizer.decode(ids)
