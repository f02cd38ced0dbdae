"""Every family of plain vision transformers, by tiny random checkpoints: where features lie, and that they are right.

The features are compared with what the whole model of `transformers` computes when it is called by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import transformers as tf
from helpers.tiny_models import MLP_RATIO, VISION, make, randomize
from helpers.tiny_models import save as save_tiny
from PIL import Image
from safetensors.torch import load_file, save_file

from soco_datasets.errors import BackboneError
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.features.families.tokens import TokenBackbone

PATCH = 8
FIXED = "aimv2_vision_model/fixed"
SIZES = [(56, 56), (72, 72), (40, 72)]  # the size of the position tables, another, and one that is not square


class Kind(NamedTuple):
    """What is known about a kind from its source and papers."""

    whole: str  # the class that loads everything in the checkpoint
    tower: str  # where it keeps the vision model
    prefix: int
    norm: str  # the final norm, "" for none
    interpolates: bool = False  # takes the flag
    float32: str = ""  # must not be rounded in half precision

    def vision_model(self, folder: Path, **options: Any) -> Any:
        whole = getattr(tf, self.whole).from_pretrained(folder, **options).eval()
        return whole.get_submodule(self.tower)


TABLE, EMBEDDING = "embeddings.position_embeddings", "embeddings.position_embedding.weight"
KINDS = {
    "vit": Kind("ViTModel", "", 1, "layernorm", True, TABLE),
    "deit": Kind("DeiTModel", "", 2, "layernorm", True, TABLE),
    "ijepa": Kind("IJepaModel", "", 0, "layernorm", True, TABLE),
    "vit_mae": Kind("ViTMAEForPreTraining", "vit", 1, "layernorm", True, TABLE),
    "dinov2": Kind("Dinov2Model", "", 1, "layernorm"),
    "dinov2_with_registers": Kind("Dinov2WithRegistersModel", "", 5, "layernorm"),
    "dinov3_vit": Kind("DINOv3ViTModel", "", 5, "norm", float32="rope_embeddings.inv_freq"),
    "clip": Kind("CLIPModel", "vision_model", 1, "post_layernorm", True, EMBEDDING),
    "clip_vision_model": Kind("CLIPVisionModel", "", 1, "post_layernorm", True, EMBEDDING),
    "metaclip_2": Kind("MetaClip2Model", "vision_model", 1, "post_layernorm", True, EMBEDDING),
    "metaclip_2_vision_model": Kind("MetaClip2VisionModel", "", 1, "post_layernorm", True, EMBEDDING),
    "siglip": Kind("SiglipModel", "vision_model", 0, "post_layernorm", True, EMBEDDING),
    "siglip_vision_model": Kind("SiglipVisionModel", "", 0, "post_layernorm", True, EMBEDDING),
    "siglip2": Kind("Siglip2Model", "vision_model", 0, "post_layernorm", False, EMBEDDING),
    "siglip2_vision_model": Kind("Siglip2VisionModel", "", 0, "post_layernorm", False, EMBEDDING),
    "llava_onevision": Kind(
        "LlavaOnevisionForConditionalGeneration", "model.vision_tower", 0, "post_layernorm", True, EMBEDDING
    ),
    "internvl": Kind("InternVLForConditionalGeneration", "model.vision_tower", 1, "", float32=TABLE),
    "internvl_vision": Kind("InternVLVisionModel", "", 1, "layernorm", float32=TABLE),
    "beit": Kind("BeitModel", "", 1, "", float32="layers.0.relative_position_bias.relative_position_bias_table"),
    "beit/class_token": Kind(
        "BeitModel", "", 1, "layernorm", float32="shared_position_bias.relative_position_bias_table"
    ),
    "aimv2": Kind("Aimv2Model", "vision_model", 0, "rms_norm"),
    "aimv2_vision_model": Kind("Aimv2VisionModel", "", 0, "rms_norm"),
    FIXED: Kind("Aimv2VisionModel", "", 0, "rms_norm"),
    "pixio": Kind("PixioModel", "", 8, "layernorm", float32=TABLE),
    "radio": Kind("RadioModel", "", 10, "", float32="input_conditioner.norm_mean"),
}
every_kind = pytest.mark.parametrize("kind", KINDS)
Folder = Callable[[str], Path]


def load(folder: Path, **options: Any) -> TokenBackbone:
    backbone = load_backbone(folder, **options)
    assert isinstance(backbone, TokenBackbone)
    return backbone


def module_of(backbone: TokenBackbone) -> Any:
    return backbone.module


def noise(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(seed))


def sizes(kind: str) -> list[tuple[int, int]]:
    return SIZES[:1] if kind == FIXED else SIZES


def by_hand(kind: str, folder: Path, pixels: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor | None]:
    """(patch tokens after each block, those after the final norm) of the whole model."""
    facts = KINDS[kind]
    model = facts.vision_model(folder)
    inputs: dict[str, Any] = {"pixel_values": pixels}
    if facts.interpolates:
        inputs["interpolate_pos_encoding"] = True
    if kind == "vit_mae":  # its own forward drops and shuffles patches; as a ViT it is the same network
        vit = tf.ViTModel(tf.ViTConfig(**VISION), add_pooling_layer=False)
        vit.load_state_dict(model.state_dict())
        model = vit.eval()
    if kind.startswith("siglip2"):
        from transformers.models.siglip2.image_processing_pil_siglip2 import convert_image_to_patches

        rows, columns = pixels.shape[2] // PATCH, pixels.shape[3] // PATCH
        inputs = {
            "pixel_values": torch.stack(
                [torch.from_numpy(convert_image_to_patches(one.numpy(), PATCH)) for one in pixels]
            ),
            "pixel_attention_mask": torch.ones(len(pixels), rows * columns),
            "spatial_shapes": torch.tensor([[rows, columns]] * len(pixels)),
        }
    with torch.inference_mode():
        output = model(**inputs, output_hidden_states=True)
        raw = [state[:, facts.prefix :] for state in output.hidden_states[1:]]
        return raw, model.get_submodule(facts.norm)(raw[-1]) if facts.norm else None


def as_map(tokens: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(B, h * w, C) in raster order to (B, C, h, w), written out cell by cell."""
    rows, columns = height // PATCH, width // PATCH
    assert tokens.shape[1] == rows * columns
    cells = [[tokens[:, row * columns + column] for column in range(columns)] for row in range(rows)]
    return torch.stack([torch.stack(row, dim=-1) for row in cells], dim=-2)


@every_kind
def test_features_are_those_of_the_whole_model(kind: str, tiny_model: Folder) -> None:
    """Shape, prefix, layer, norm and weights at once: also that the vision weights of whole checkpoints are loaded."""
    place, facts = tiny_model(kind), KINDS[kind]
    last, first = load(place), load(place, layer=0)
    normed = load(place, norm="final") if facts.norm else None
    assert (last.patch_size, last.num_prefix_tokens, last.channels, last.num_layers) == (PATCH, facts.prefix, 32, 2)
    assert module_of(last).config._attn_implementation == "sdpa"
    for height, width in sizes(kind):
        pixels = noise(height, width)
        blocks, final = by_hand(kind, place, pixels)
        with torch.inference_mode():
            features = last.forward(pixels)
            assert features.shape == (2, 32, height // PATCH, width // PATCH)
            torch.testing.assert_close(features, as_map(blocks[-1], height, width), rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(first.forward(pixels), as_map(blocks[0], height, width), rtol=1e-5, atol=1e-5)
            if normed is not None:
                assert final is not None
                torch.testing.assert_close(normed.forward(pixels), as_map(final, height, width), rtol=1e-5, atol=1e-5)
                assert not torch.allclose(normed.forward(pixels), features, atol=0.1)
    assert not torch.allclose(blocks[0], blocks[-1], atol=0.1)


def test_wrong_sizes_are_refused(tiny_model: Folder) -> None:
    for height, width in [(56, 60), (60, 56), (4, 4), (0, 56)]:
        with pytest.raises(BackboneError, match=r"multiples of 8, got \(2, 3"):
            load(tiny_model("vit")).forward(noise(height, width))


@every_kind
def test_half_precision_drifts_little(kind: str, tiny_model: Folder) -> None:
    full, half = load(tiny_model(kind)), load(tiny_model(kind), dtype="bfloat16")
    pixels = noise(*sizes(kind)[-1])
    with torch.inference_mode():
        exact, rounded = full.forward(pixels), half.forward(pixels)
    assert rounded.dtype == torch.bfloat16
    assert (rounded.float() - exact).norm() / exact.norm() < 0.015
    if name := KINDS[kind].float32:
        tensors = [dict([*b.module.named_parameters(), *b.module.named_buffers()])[name] for b in (full, half)]
        assert torch.equal(tensors[0], tensors[1])  # not rounded: the model interpolates it, or computes angles with it


@pytest.mark.parametrize("kind", [kind for kind, facts in KINDS.items() if not facts.norm])
def test_a_norm_that_is_not_there_is_refused(kind: str, tiny_model: Folder) -> None:
    with pytest.raises(BackboneError, match="no norm after its last block"):
        load(tiny_model(kind), norm="final")


class TestFixedSize:
    def test_other_sizes_say_which_one(self, tiny_model: Folder) -> None:
        backbone = load(tiny_model(FIXED))
        for height, width in [(64, 64), (56, 64)]:
            with pytest.raises(BackboneError, match=f"56x56 pixels only, got {height}x{width}. Ask for image size 56"):
                backbone.forward(noise(height, width))

    @pytest.mark.parametrize("requested", [800, 56, 30])
    def test_the_extractor_runs_at_it_and_records_it(self, tiny_model: Folder, requested: int) -> None:
        extractor = DenseFeatureExtractor(load(tiny_model(FIXED)), requested)
        record = extractor.describe()
        assert (record["requested_size"], record["effective_size"], record["grid"]) == (requested, 56, 7)
        assert extractor.extract([Image.new("RGB", (30, 20))]).shape == (1, 32, 7, 7)

    def test_native_checkpoints_take_any(self, tiny_model: Folder) -> None:
        backbone = load(tiny_model("aimv2_vision_model"))
        assert backbone.fixed_size is None
        assert DenseFeatureExtractor(backbone, 100).size == 96


class TestMae:
    def test_all_patches_in_every_forward(self, tiny_model: Folder) -> None:
        """The same model called as its documentation says keeps a quarter of them, at random."""
        pixels = noise(56, 56)
        model = KINDS["vit_mae"].vision_model(tiny_model("vit_mae"))
        with torch.inference_mode():
            assert model(pixels).last_hidden_state.shape[1] == 1 + 49 // 4
            assert load(tiny_model("vit_mae")).forward(pixels).shape == (2, 32, 7, 7)


class TestRadio:
    def test_statistics_by_name_would_normalize_twice(self, tiny_model: Folder) -> None:
        with pytest.raises(BackboneError, match="'imagenet' would normalize them twice"):
            load(tiny_model("radio"), statistics="imagenet")

    @pytest.mark.parametrize("preprocessor", [None, {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}])
    def test_no_preprocessor_file_changes_them(self, tmp_path: Path, preprocessor: dict[str, Any] | None) -> None:
        path = make("radio", tmp_path / "radio") / "preprocessor_config.json"
        path.unlink() if preprocessor is None else path.write_text(json.dumps(preprocessor))
        assert load(path.parent).statistics.source == "none"

    def test_half_precision_gets_unrounded_pixels(self, tiny_model: Folder) -> None:
        """Pixels are normalized in float32 and cast then."""
        half = load(tiny_model("radio"), dtype="bfloat16")
        seen: list[torch.Tensor] = []
        module_of(half).input_conditioner.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
        pixels = noise(56, 56)
        half.forward(pixels)
        assert torch.equal(seen[0], pixels)


def nvidia_form(folder: Path, **args: Any) -> Path:
    """A C-RADIO as NVIDIA publishes v2 and v3: no model_type, an architecture of timm, code of its own."""
    save_tiny(tf.RadioModel(tf.RadioConfig(**{**MLP_RATIO, "hidden_size": 48, "num_attention_heads": 12})), folder, {})
    config = {
        "architectures": ["RADIOModel"],
        "auto_map": {"AutoModel": "hf_model.RADIOModel"},
        "args": {"model": "vit_base_patch16_224", "cls_token_per_teacher": True, "register_multiple": 8, **args},
        "version": "c-radio_v3-b",
        "patch_size": PATCH,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


class TestRadioInNvidiasForm:
    def test_features_are_those_of_the_same_weights_saved_by_transformers(self, tmp_path: Path) -> None:
        backbone = load(nvidia_form(tmp_path / "nvidia"))
        assert (backbone.family, backbone.num_prefix_tokens, backbone.channels) == ("radio", 10, 48)
        same = tf.RadioModel(tf.RadioConfig(**{**MLP_RATIO, "hidden_size": 48, "num_attention_heads": 12}))
        randomize(same)
        pixels = noise(40, 72)
        with torch.inference_mode():
            torch.testing.assert_close(backbone.forward(pixels), as_map(same(pixels).features, 40, 72))

    def test_another_architecture_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(BackboneError, match=r"built on 'dinov2_vitg14_reg'; served are vit_base"):
            load(nvidia_form(tmp_path, model="dinov2_vitg14_reg"))

    def test_a_final_norm_would_be_lost(self, tmp_path: Path) -> None:
        path = nvidia_form(tmp_path) / "model.safetensors"
        save_file(load_file(path) | {"radio_model.model.norm.weight": torch.ones(48)}, path)
        with pytest.raises(BackboneError, match=r"norm\.weight is not in the model"):
            load(tmp_path)

    def test_weights_of_another_form(self, tmp_path: Path) -> None:
        path = nvidia_form(tmp_path) / "model.safetensors"
        rename(tmp_path, {"radio_model": "other"})
        with pytest.raises(BackboneError, match=r"NVIDIA's form, its weights are not.*cls_token"):
            load(path.parent)


def rename(folder: Path, changes: dict[str, str]) -> None:
    """Rename weights of a checkpoint by patterns; every pattern must meet some."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    for pattern, name in changes.items():
        renamed = {re.sub(pattern, name, old): value for old, value in tensors.items()}
        assert set(renamed) != set(tensors)
        tensors = renamed
    save_file(tensors, path, metadata={"format": "pt"})


class TestReleasedLayouts:
    """Checkpoints of the Hub are of many ages; names of weights changed between releases of transformers."""

    @pytest.mark.parametrize(
        ("kind", "changes"),
        [
            ("clip_vision_model", {"^": "vision_model."}),
            ("metaclip_2_vision_model", {"^": "vision_model."}),
            ("siglip_vision_model", {"^": "vision_model."}),
            ("siglip2_vision_model", {"^": "vision_model."}),
            ("llava_onevision", {r"^vision_tower\.(vision_model\.)?": "vision_tower.vision_model."}),
            ("llava_onevision", {r"^vision_tower\.(vision_model\.)?": "model.vision_tower."}),
            ("llava_onevision", {r"^vision_tower\.(vision_model\.)?": "model.vision_tower.vision_model."}),
            ("internvl", {r"^vision_tower\.": "model.vision_tower.", r"^language_model\.": "model.language_model."}),
            ("dinov3_vit", {r"^layer\.": "model.layer."}),
            ("deit", {"^": "deit."}),
            ("beit", {"^": "beit."}),
            ("ijepa", {"^": "ijepa."}),
            ("vit_mae", {r"^vit\.": ""}),
        ],
    )
    def test_other_names_are_the_same_features(
        self, tiny_model: Folder, tmp_path: Path, kind: str, changes: dict[str, str]
    ) -> None:
        place = make(kind, tmp_path / "model")
        rename(place, changes)
        pixels = noise(56, 56)
        with torch.inference_mode():
            assert torch.equal(load(place).forward(pixels), load(tiny_model(kind)).forward(pixels))

    @pytest.mark.parametrize(
        ("kind", "extra"),
        [
            ("clip", "vision_model.embeddings.position_ids"),
            ("clip", "text_model.embeddings.position_ids"),
            ("clip_vision_model", "visual_projection.weight"),
            ("siglip", "vision_model.embeddings.position_ids"),
            ("llava_onevision", "vision_tower.vision_model.head.probe"),
            ("beit", "lm_head.weight"),
            ("beit", "layernorm.weight"),
            ("beit", "pooler.layernorm.weight"),
            ("deit", "distillation_classifier.weight"),
            ("radio", "radio_model.adaptors.clip.head_mlp.fc1.weight"),
        ],
    )
    def test_what_is_no_feature_may_be_there(self, tiny_model: Folder, tmp_path: Path, kind: str, extra: str) -> None:
        place = make(kind, tmp_path / "model")
        path = place / "model.safetensors"
        save_file(load_file(path) | {extra: torch.zeros(1, 4)}, path, metadata={"format": "pt"})
        pixels = noise(56, 56)
        with torch.inference_mode():
            assert torch.equal(load(place).forward(pixels), load(tiny_model(kind)).forward(pixels))

    @pytest.mark.parametrize(
        "kind", ["clip", "metaclip_2", "siglip", "siglip2", "llava_onevision", "internvl", "aimv2"]
    )
    def test_a_lost_vision_weight_is_never_random(self, tmp_path: Path, kind: str) -> None:
        path = make(kind, tmp_path / "model") / "model.safetensors"
        tensors = load_file(path)
        lost = next(name for name in tensors if "vision" in name and name.endswith("q_proj.weight"))
        del tensors[lost]
        save_file(tensors, path, metadata={"format": "pt"})
        with pytest.raises(BackboneError, match="is missing"):
            load(path.parent)

    @pytest.mark.parametrize("kind", ["clip", "siglip", "llava_onevision", "internvl", "radio"])
    def test_surplus_vision_blocks_are_refused(self, tmp_path: Path, kind: str) -> None:
        path = make(kind, tmp_path / "model") / "config.json"
        config = json.loads(path.read_text())
        config.get("vision_config", config)["num_hidden_layers"] = 1
        path.write_text(json.dumps(config))
        with pytest.raises(BackboneError, match="is not in the model"):
            load(path.parent)


class TestBadCheckpoints:
    @pytest.mark.parametrize(
        "kind", ["clip", "metaclip_2", "siglip", "siglip2", "llava_onevision", "internvl", "aimv2"]
    )
    def test_no_vision_tower(self, tmp_path: Path, kind: str) -> None:
        path = make(kind, tmp_path / "model") / "config.json"
        config = json.loads(path.read_text())
        del config["vision_config"]
        path.write_text(json.dumps(config))
        with pytest.raises(BackboneError, match=r"no vision tower.*vision_config"):
            load(path.parent)

    def test_text_only(self, tmp_path: Path) -> None:
        path = make("clip", tmp_path / "model") / "config.json"
        path.write_text(json.dumps({"model_type": "clip_text_model"}))
        with pytest.raises(BackboneError, match=r"'clip_text_model', which no family here serves"):
            load(path.parent)

    def test_llava_with_another_tower(self, tmp_path: Path) -> None:
        path = make("llava_onevision", tmp_path / "model") / "config.json"
        config = json.loads(path.read_text())
        config["vision_config"]["model_type"] = "clip_vision_model"
        path.write_text(json.dumps(config))
        with pytest.raises(BackboneError, match=r"'clip_vision_model'.*only SigLIP.*Save the tower alone"):
            load(path.parent)

    def test_positions_of_oblong_images(self, tmp_path: Path) -> None:
        tf.ViTModel(tf.ViTConfig(**{**VISION, "image_size": (56, 112)})).save_pretrained(tmp_path)
        with pytest.raises(BackboneError, match=r"\(56, 112\).*square grid"):
            load(tmp_path, statistics="half")

    def test_oblong_patches(self, tmp_path: Path) -> None:
        config = {**VISION, "model_type": "internvl_vision", "image_size": (64, 64), "patch_size": (8, 16)}
        tf.InternVLVisionModel(tf.InternVLVisionConfig(**config)).save_pretrained(tmp_path)
        with pytest.raises(BackboneError, match="only square patches"):
            load(tmp_path, statistics="half")
