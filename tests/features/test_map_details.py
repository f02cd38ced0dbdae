"""Error analysis silently in single families of `test_map_families`: tables, windows, ids of positions, loading a tower."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from helpers.tiny_map_models import IMAGENET, import_timm, make_map_model
from safetensors.torch import load_file, save_file

from soco_datasets.errors import BackboneError, MissingExtraError
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.extractor import DenseFeatureExtractor


@pytest.fixture
def made(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The checkpoint of the kind that the test names."""
    kind: str = request.param
    return make_map_model(kind, tmp_path / "model")


def of(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("made", kinds, indirect=True)


def noise(height: int, width: int) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))


def change_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@of("sam")
@pytest.mark.parametrize("norm", ["none", "final"])
def test_sam_at_another_size_is_the_model_with_resized_tables(made: Path, norm: str) -> None:
    """`image_size=` alone makes a model whose tables do not fit; here they are resized by hand, the relative ones too."""
    old = tf.SamModel.from_pretrained(made).vision_encoder
    config = tf.SamConfig.from_pretrained(made).vision_config
    config.image_size = 160
    new = tf.SamVisionModel(config).eval().vision_encoder
    tensors = dict(old.state_dict())
    tensors["pos_embed"] = torch.nn.functional.interpolate(
        tensors["pos_embed"].permute(0, 3, 1, 2), size=(10, 10), mode="bicubic"
    ).permute(0, 2, 3, 1)
    for name in ("layers.1.attn.rel_pos_h", "layers.1.attn.rel_pos_w"):  # the global block's: 2 * grid - 1 rows
        assert tensors[name].shape[0] == 11
        tensors[name] = torch.nn.functional.interpolate(tensors[name].T[None], size=19, mode="linear")[0].T
    new.load_state_dict(tensors)
    pixels = noise(160, 160)
    with torch.inference_mode():
        output = new(pixels, output_hidden_states=True)
        expected = output.last_hidden_state if norm == "final" else output.hidden_states[-1].permute(0, 3, 1, 2)
        found = load_backbone(made, norm=norm).forward(pixels)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


@of("vjepa2")
def test_vjepa2_counts_positions_on_the_grid_of_the_input(made: Path) -> None:
    pixels = noise(64, 64)
    naive = tf.VJEPA2Model.from_pretrained(made).eval()  # its crop_size is 32
    with torch.inference_mode():
        found = load_backbone(made, norm="final").forward(pixels).flatten(2).transpose(1, 2)
        misplaced = naive(pixels[:, None], skip_predictor=True).last_hidden_state
    assert misplaced.shape == found.shape
    assert not torch.allclose(found, misplaced, atol=1e-2)
    backbone = load_backbone(made)
    assert backbone.square_only
    with pytest.raises(BackboneError, match="square pixels only"):
        backbone.forward(noise(32, 40))


@of("vjepa2")
def test_blocks_after_the_layer_are_not_run_and_the_predictor_is_not_kept(made: Path) -> None:
    backbone: Any = load_backbone(made, layer=0)
    ran: list[int] = []
    for number, block in enumerate(backbone.module.encoder.layer):
        block.register_forward_hook(lambda module, inputs, output, number=number: ran.append(number))
    backbone.forward(noise(32, 32))
    assert ran == [0]
    assert not any("predictor" in name for name, _ in backbone.module.named_parameters())


@of("swin")
def test_swin_does_not_remember_a_small_image(made: Path) -> None:
    """`SwinModel` cuts its window down to a small map and keeps it so; then every later image comes out otherwise."""
    model = tf.SwinModel.from_pretrained(made).eval()
    large, small = noise(48, 48), noise(24, 24)
    with torch.inference_mode():
        before = model(large).last_hidden_state
        model(small)
        assert not torch.allclose(model(large).last_hidden_state, before, atol=1e-4)  # the trap is real
        backbone = load_backbone(made, norm="final")
        first = backbone.forward(large)
        backbone.forward(small)
        assert torch.equal(backbone.forward(large), first)
    with pytest.raises(BackboneError, match=r"windows of 3x3 cells of 8 pixels.*at least 24 pixels a side, got 16x24"):
        backbone.forward(noise(16, 24))


@of("sam", "sam2", "qwen2_5_vl", "qwen3_vl")
def test_of_a_whole_checkpoint_only_the_tower_is_loaded_and_needed(made: Path) -> None:
    kind = json.loads((made / "config.json").read_text())["model_type"]
    prefixes = ["vision_encoder."] if kind.startswith("sam") else ["visual.", "model.visual."]  # of two releases
    path, pixels = made / "model.safetensors", noise(224, 224)
    tensors = load_file(path)
    own = {name.split(prefixes[0], 1)[1]: tensor for name, tensor in tensors.items() if prefixes[0] in name}
    assert 0 < len(own) < len(tensors)
    backbone: Any = load_backbone(made, layer=0)
    assert sum(1 for _ in backbone.module.parameters()) == len(own)
    expected = backbone.forward(pixels)
    for prefix in prefixes:
        save_file({f"{prefix}{name}": tensor for name, tensor in own.items()}, path, metadata={"format": "pt"})
        assert torch.equal(load_backbone(made, layer=0).forward(pixels), expected)
    lost = sorted(own)[0]
    save_file({f"{prefix}{name}": own[name] for name in own if name != lost}, path, metadata={"format": "pt"})
    with pytest.raises(BackboneError, match=rf"disagrees with the weights in 1 place.*\n.*{lost} is missing"):
        load_backbone(made)


@of("qwen2_5_vl", "qwen3_vl")
def test_a_tower_saved_alone_is_the_same(made: Path, tmp_path: Path) -> None:
    whole = tf.AutoModelForImageTextToText.from_pretrained(made)
    whole.model.visual.save_pretrained(tmp_path / "tower")
    pixels = noise(224, 224)
    expected = load_backbone(made).forward(pixels)
    assert torch.equal(load_backbone(tmp_path / "tower", statistics="half").forward(pixels), expected)


@of("qwen2_5_vl")
def test_a_tower_that_transformers_4_57_saved_alone(made: Path, tmp_path: Path) -> None:
    """It says `qwen2_5_vl`, the type of the whole model, and has the tower's fields at the top of its config."""
    tower = tf.AutoModelForImageTextToText.from_pretrained(made).model.visual
    tower.save_pretrained(tmp_path / "tower")
    change_config(tmp_path / "tower", model_type="qwen2_5_vl", transformers_version="4.57.6")
    for norm in ("none", "final"):
        expected = load_backbone(made, norm=norm).forward(noise(224, 224))
        found = load_backbone(tmp_path / "tower", statistics="half", norm=norm)
        assert torch.equal(found.forward(noise(224, 224)), expected)


@of("qwen3_vl")
def test_a_tower_of_another_width_than_its_config_is_refused(made: Path) -> None:
    vision = json.loads((made / "config.json").read_text())["vision_config"]
    change_config(made, vision_config={**vision, "intermediate_size": 40})
    with pytest.raises(BackboneError, match=r"config\.json disagrees with the weights.*\n.*config asks for"):
        load_backbone(made)


@of("sam", "qwen2_5_vl")
def test_a_config_without_a_vision_tower_is_refused(made: Path) -> None:
    change_config(made, vision_config=None)
    with pytest.raises(BackboneError, match="has no vision tower"):
        load_backbone(made)


@of("sam2")
def test_sam2_pyramid_has_the_finer_stages(made: Path) -> None:
    model = tf.Sam2Model.from_pretrained(made).eval().vision_encoder
    pixels = noise(96, 64)
    with torch.inference_mode():
        pyramid = model(pixels).fpn_hidden_states
        for layer, cell in enumerate([4, 8, 16]):
            backbone = load_backbone(made, layer=layer, norm="final")
            assert (backbone.patch_size, backbone.channels) == (cell, 12)
            assert torch.equal(backbone.forward(pixels), pyramid[layer])
    with pytest.raises(BackboneError, match="stages 0 to 2, not of stage 3"):
        load_backbone(made, norm="final")


@of("sam2")
def test_sam2_as_released_says_that_it_is_for_videos(made: Path) -> None:
    expected = load_backbone(made).forward(noise(64, 64))
    change_config(made, model_type="sam2_video")
    path = made / "model.safetensors"
    memory = {"memory_encoder.fuser.weight": torch.zeros(2), "no_memory_embedding": torch.zeros(1)}
    save_file({**load_file(path), **memory}, path, metadata={"format": "pt"})
    assert torch.equal(load_backbone(made).forward(noise(64, 64)), expected)


@of("vjepa2", "stable_diffusion", "timm_wrapper")
def test_statistics_are_found_where_the_family_keeps_them(made: Path) -> None:
    statistics = load_backbone(made).statistics
    half = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "checkpoint")
    imagenet = (*(tuple(IMAGENET[name]) for name in ("image_mean", "image_std")), "checkpoint")
    expected = imagenet if (made / "video_preprocessor_config.json").is_file() else half
    assert (statistics.mean, statistics.std, statistics.source) == expected


class TestTimm:
    @of("timm_wrapper/vit")
    def test_loads_as_released_at_any_size_with_its_registers_off(self, made: Path) -> None:
        config = json.loads((made / "config.json").read_text())
        assert "model_type" not in config
        assert any(name.startswith("head.") for name in load_file(made / "model.safetensors"))
        backbone = load_backbone(made)
        assert (backbone.family, backbone.num_prefix_tokens) == ("timm_wrapper", 3)  # class token, two registers
        with torch.inference_mode():
            assert backbone.forward(noise(96, 160)).shape == (1, 32, 6, 10)

    @of("timm_wrapper/vit")
    def test_saved_by_transformers_it_is_the_same(self, made: Path, tmp_path: Path) -> None:
        config = tf.TimmWrapperConfig.from_pretrained(made)
        del config.model_args["num_classes"]
        tf.TimmWrapperModel.from_pretrained(made, config=config).save_pretrained(tmp_path / "saved")
        pixels = noise(64, 64)
        expected = load_backbone(made).forward(pixels)
        again = load_backbone(tmp_path / "saved", statistics="half")
        assert torch.equal(again.forward(pixels), expected)

    @of("timm_wrapper")
    def test_an_architecture_that_timm_does_not_know(self, made: Path) -> None:
        change_config(made, architecture="vit_of_the_future")
        with pytest.raises(BackboneError, match=r"architecture 'vit_of_the_future', which timm .* does not know"):
            load_backbone(made)

    def test_an_architecture_of_one_size_says_which(self, tmp_path: Path) -> None:
        timm = import_timm()
        from timm.models import save_for_hf

        arguments = {"embed_dim": (16, 16, 16), "depth": (1, 1, 1), "num_heads": (1, 1, 1), "key_dim": 8}
        model = timm.create_model("levit_128s", num_classes=0, **arguments).eval()
        save_for_hf(model, str(tmp_path), model_args=arguments, safe_serialization=True)
        backbone = load_backbone(tmp_path)
        with torch.inference_mode(), pytest.raises(BackboneError, match=r"224x224 pixels only, got 64x64.*size 224"):
            backbone.forward(noise(64, 64))
        extractor = DenseFeatureExtractor(backbone, 800)
        assert (extractor.requested_size, extractor.size, backbone.fixed_size) == (800, 224, 224)

    def test_an_architecture_with_windows_takes_multiples_of_its_size(self, tmp_path: Path) -> None:
        timm = import_timm()
        from timm.models import save_for_hf

        arguments = {"embed_dim": (32, 32, 32, 32), "depths": (1, 1, 1, 1), "stem_width": 8}
        model = timm.create_model("maxvit_tiny_tf_224", num_classes=0, **arguments).eval()
        save_for_hf(model, str(tmp_path), model_args=arguments, safe_serialization=True)
        backbone = load_backbone(tmp_path)
        assert (backbone.patch_size, backbone.size_multiple, backbone.fixed_size) == (32, 224, None)
        assert DenseFeatureExtractor(backbone, 800).size == 896
        with torch.inference_mode():
            assert backbone.forward(noise(224, 448)).shape == (1, 32, 7, 14)

    def test_without_timm(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "config.json").write_text(json.dumps({"architecture": "vit_tiny", "pretrained_cfg": {}}))
        save_file({"weight": torch.zeros(1)}, tmp_path / "model.safetensors")
        monkeypatch.setitem(sys.modules, "timm", None)
        with pytest.raises(MissingExtraError, match=r"needs the package .timm.*soco-datasets\[timm\]"):
            load_backbone(tmp_path, statistics="half")

    def test_with_a_timm_that_cannot_be_imported(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "config.json").write_text(json.dumps({"architecture": "vit_tiny", "pretrained_cfg": {}}))
        save_file({"weight": torch.zeros(1)}, tmp_path / "model.safetensors")
        broken = tmp_path / "site" / "timm"
        broken.mkdir(parents=True)
        (broken / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
        for name in [name for name in sys.modules if name.split(".")[0] == "timm"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.syspath_prepend(broken.parent)
        with pytest.raises(BackboneError, match=r"cannot be imported: operator torchvision::nms.*fits your torch"):
            load_backbone(tmp_path, statistics="half")
