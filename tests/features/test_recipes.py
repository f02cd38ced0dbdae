"""Recipes: what is chosen for which listed model, and each adapted rule against an independent computation."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from helpers.tiny_map_models import import_timm
from helpers.tiny_models import HALF, randomize
from PIL import Image

from soco_datasets.errors import BackboneError, UsageError
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.compose import CompositeBackbone
from soco_datasets.features.derived import backbone_identity
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.features.families.positions import (
    antialiased_table,
    bilinear_table,
    offset_table,
    sincos_table,
)
from soco_datasets.features.methods import METHODS
from soco_datasets.features.model_list import BACKBONES, listed
from soco_datasets.features.recipes import recipe_of

TinyModel = Callable[[str], Path]
WIDTH, TABLE, GRID = 768, 14, (50, 50)  # ViT-B/16 at 800 px


def chosen(name: str, recipe: str | None = None) -> dict[str, str]:
    found = recipe_of(listed(name), recipe)
    return {key: choice.value for key, choice in found.choices().items()}


@pytest.mark.parametrize(
    ("name", "recipe", "expected"),
    [
        ("siglip_b16", None, {"statistics": "imagenet", "positions": "antialiased"}),
        ("dift", None, {"statistics": "imagenet"}),
        ("dino_b16", None, {"statistics": "imagenet", "positions": "offset", "size": "nearest"}),
        ("ijepa", None, {"statistics": "imagenet", "norm": "final", "positions": "checkpoint"}),
        ("openclip_vitl14_laion2b", None, {"statistics": "clip", "activation": "checkpoint"}),
        ("mae_b16", None, {"positions": "sincos"}),
        ("dinov2_b14", None, {"positions": "offset", "size": "padded", "norm": "none"}),
        ("dinov2_b14", "paper-2026-08", {"positions": "offset", "size": "nearest"}),
        ("dinov2_b14_reg", None, {"positions": "checkpoint", "size": "padded"}),
        ("clip_l14", None, {"statistics": "imagenet", "activation": "gelu", "size": "padded"}),
        ("clip_l14", "paper-2026-08", {"statistics": "clip", "activation": "gelu", "size": "nearest"}),
        ("clip_b16_laion", None, {"statistics": "imagenet", "activation": "checkpoint"}),
        ("metaclip2_vitb16", None, {"statistics": "imagenet", "positions": "antialiased"}),
        ("metaclip2_vitb16", "paper-2026-08", {"statistics": "clip"}),
        ("dinov3_vitb16", None, {"norm": "final"}),
        ("dinov3_vitb16", "paper-2026-08", {"norm": "none"}),
        ("perception", None, {"statistics": "imagenet", "positions": "rotary_fixed"}),
        ("perception", "paper-2026-08", {"statistics": "half"}),
        ("qwen_vl", None, {"dtype": "bfloat16", "norm": "final"}),
        ("radio", None, {"statistics": "checkpoint"}),
        ("dinov2_b14", "checkpoint", {"statistics": "checkpoint", "positions": "checkpoint", "dtype": "float32"}),
        ("dense_sift", None, {"statistics": "checkpoint"}),
    ],
)
def test_choices(name: str, recipe: str | None, expected: dict[str, str]) -> None:
    assert expected.items() <= chosen(name, recipe).items()


def test_every_choice_has_a_source_and_unknown_models_say_so() -> None:
    for spec in BACKBONES:
        recipe = recipe_of(spec)
        assert all(choice.source for choice in recipe.choices().values())
        unknown = spec.name in ("radio", "perception")
        assert recipe.label == ("unknown" if unknown else "checkpoint" if spec.name == "dense_sift" else "paper")
        assert bool(recipe.unknown) == unknown
        json.dumps(recipe.describe())
    assert recipe_of(listed("radio"), "checkpoint").label == "checkpoint"
    with pytest.raises(UsageError, match="not a model of the paper"):
        recipe_of(None, "paper", "someone/else")
    with pytest.raises(UsageError, match="Did you mean 'paper'"):
        recipe_of(listed("dift"), "papr")


def cubic(t: float, a: float) -> float:
    t = abs(t)
    if t < 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0


def weights(length: int, count: int, scale: float, kind: str) -> np.ndarray:
    """(count, length) float64 weights of 1-D resampling, written from the definitions.

    "cubic": Keys' kernel with a = -0.75 at (i + 0.5) / scale - 0.5, border cells repeated (torch's plain bicubic).
    "antialiased": a = -0.5, the kernel widened when it shrinks, cells beyond the border left out (PIL, torch).
    "linear": between two neighbors, border cells repeated.
    """
    matrix = np.zeros((count, length))
    for row in range(count):
        if kind == "antialiased":
            support = max(length / count, 1.0)
            center = (row + 0.5) * length / count
            places = range(max(0, int(center - 2 * support + 0.5)), min(length, int(center + 2 * support + 0.5)))
            values = [cubic((place + 0.5 - center) / support, -0.5) for place in places]
            for place, value in zip(places, values, strict=True):
                matrix[row, place] = value / sum(values)
            continue
        place = (row + 0.5) / scale - 0.5
        place = max(place, 0.0) if kind == "linear" else place
        base = math.floor(place)
        for step in (0, 1) if kind == "linear" else (-1, 0, 1, 2):
            distance = place - (base + step)
            value = 1 - abs(distance) if kind == "linear" else cubic(distance, -0.75)
            matrix[row, min(max(base + step, 0), length - 1)] += value
    return matrix


@pytest.mark.parametrize("grid", [GRID, (10, 10), (25, 50)])
@pytest.mark.parametrize(
    ("function", "kind", "offset"),
    [(antialiased_table, "antialiased", 0.0), (offset_table, "cubic", 0.1), (bilinear_table, "linear", 0.0)],
)
def test_resized_tables_equal_the_definition(function: Any, kind: str, offset: float, grid: tuple[int, int]) -> None:
    table = torch.randn(1, 1 + TABLE**2, WIDTH, generator=torch.Generator().manual_seed(0))
    rows, columns = (weights(TABLE, count, (count + offset) / TABLE, kind) for count in grid)
    cells = table[0, 1:].double().numpy().reshape(TABLE, TABLE, WIDTH)
    expected = np.einsum("ri,cj,ijk->rck", rows, columns, cells).reshape(-1, WIDTH)
    found = function(table, 1, *grid)[0].numpy()
    np.testing.assert_allclose(found[1:], expected, atol=1e-5)
    assert np.array_equal(found[0], table[0, 0])


@pytest.mark.parametrize("grid", [(14, 14), GRID, (3, 5)])
def test_sine_positions_equal_the_definition(grid: tuple[int, int]) -> None:
    found = sincos_table(WIDTH, 1, *grid)[0].numpy()
    assert not found[0].any()
    for row, column in [(0, 0), (0, grid[1] - 1), (grid[0] - 1, 1), (grid[0] - 1, grid[1] - 1)]:
        frequencies = [10000 ** (-2 * index / (WIDTH / 2)) for index in range(WIDTH // 4)]
        expected = [f(place * w) for place in (column, row) for f in (math.sin, math.cos) for w in frequencies]
        np.testing.assert_allclose(found[1 + row * grid[1] + column], expected, atol=1e-6)


WIDE: dict[str, Any] = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 1,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "patch_size": 16,
    "image_size": 224,
}


def wide(folder: Path, kind: str) -> tuple[Path, Any]:
    """A model of one block at true width, saved; and the class's own module."""
    if kind == "dinov2":
        changes = {"patch_size": 14, "mlp_ratio": 2}
        config: Any = tf.Dinov2Config(
            **{key: value for key, value in WIDE.items() if key != "intermediate_size"} | changes
        )
        model: Any = tf.Dinov2Model(config)
    else:
        name = {"vit": "ViT", "vit_mae": "ViTMAE", "clip": "CLIPVision", "siglip": "SiglipVision"}[kind]
        model = getattr(tf, f"{name}Model")(getattr(tf, f"{name}Config")(**WIDE))
    randomize(model).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(HALF))
    return folder, model


@pytest.fixture
def as_listed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Path], None]:
    """`as_listed(name, folder)`: the Hub's cache holds this folder as the repository of a listed model."""

    def put(name: str, folder: Path) -> None:
        spec = listed(name)
        assert spec is not None
        assert spec.hub_id is not None
        commit = "0" * 40
        cache = folder.parent / "hub" / f"models--{spec.hub_id.replace('/', '--')}"
        (cache / "refs").mkdir(parents=True)
        (cache / "refs" / (spec.revision or "main")).write_text(commit)
        (cache / "snapshots").mkdir()
        (cache / "snapshots" / commit).symlink_to(folder)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder.parent / "hub"))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    return put


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name", "size"),
    [
        ("vit", "dino_b16", 800),
        ("vit_mae", "mae_b16", 800),
        ("clip", "clip_b16", 800),
        ("siglip", "siglip_b16", 800),
        ("dinov2", "dinov2_b14", 812),
    ],
)
def test_adapters_at_true_width_and_800_pixels(
    tmp_path: Path, as_listed: Callable[[str, Path], None], kind: str, name: str, size: int
) -> None:
    """A listed model equals the class's own network at a table that was resized by the definition, at its own size.

    The network is built for 800 px with a table of 50 x 50 (58 x 58) cells made here, so that nothing is resized.
    """
    folder, model = wide(tmp_path / "model", kind)
    as_listed(name, folder)
    backbone = load_backbone(name)
    assert (backbone.recipe, backbone.statistics.source) == ("paper", "imagenet")
    cells = size // backbone.patch_size
    prefix = 0 if kind == "siglip" else 1
    state = model.state_dict()
    key = "embeddings.position_embedding.weight" if kind in ("clip", "siglip") else "embeddings.position_embeddings"
    table = state[key].reshape(-1, WIDTH)
    side = round((len(table) - prefix) ** 0.5)
    how, offset = {"vit": ("cubic", 0.1), "dinov2": ("cubic", 0.1)}.get(kind, ("antialiased", 0.0))
    matrix = weights(side, cells, (cells + offset) / side, how)
    grid = np.einsum("ri,cj,ijk->rck", matrix, matrix, table[prefix:].double().numpy().reshape(side, side, WIDTH))
    if kind == "vit_mae":
        place, frequencies = np.arange(cells)[:, None], 10000.0 ** (-np.arange(WIDTH // 4) / (WIDTH // 4))
        axis = np.concatenate([np.sin(place * frequencies), np.cos(place * frequencies)], axis=1)
        grid = np.concatenate(np.broadcast_arrays(axis[None], axis[:, None]), axis=2)
        table = torch.zeros_like(table)
    resized = torch.cat([table[:prefix], torch.from_numpy(grid.reshape(-1, WIDTH)).float()])
    config = model.config
    config.image_size = size
    if kind == "clip":
        config.hidden_act = "gelu"
    large = type(model)(config).eval()
    large.load_state_dict(state | {key: resized.reshape(-1, WIDTH) if "weight" in key else resized[None]})
    pixels = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    if kind == "vit_mae":
        vit = tf.ViTModel(tf.ViTConfig(**WIDE | {"image_size": size}), add_pooling_layer=False)
        vit.load_state_dict(large.state_dict())
        large = vit.eval()
    with torch.inference_mode():
        expected = large(pixels, output_hidden_states=True).hidden_states[-1][:, prefix:]
        found = backbone.forward(pixels).flatten(2).transpose(1, 2)
        plain = load_backbone(name, recipe="checkpoint").forward(pixels).flatten(2).transpose(1, 2)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)
    assert not torch.allclose(found, plain, atol=1e-3)


@pytest.mark.slow
def test_perception_at_true_width_is_rotated_by_whole_cells(tmp_path: Path) -> None:
    """Against attention with coordinates of whole cells: at twice the grid the first block must see 0, 1, 2 ..."""
    timm = import_timm()
    arguments: dict[str, Any] = {"depth": 2, "img_size": 512}
    model = timm.create_model("vit_pe_spatial_base_patch16_512", pretrained=False, num_classes=0, **arguments)
    from timm.models import save_for_hf

    randomize(model)
    save_for_hf(model, str(tmp_path), model_args=arguments, safe_serialization=True)
    spec = recipe_of(listed("perception"))
    assert spec.positions.value == "rotary_fixed"
    from soco_datasets.features.families import family_of
    from soco_datasets.features.families.base import LoadRequest
    from soco_datasets.features.opening import open_checkpoint_folder
    from soco_datasets.features.preprocess import NAMED_STATISTICS

    checkpoint = open_checkpoint_folder(tmp_path, label="pe")
    options: dict[str, Any] = {"layer": -1, "norm": "none", "statistics": NAMED_STATISTICS["half"]}
    request = LoadRequest(
        name="pe", checkpoint=checkpoint, device="cpu", dtype="float32", positions="rotary_fixed", **options
    )
    backbone = family_of("timm_wrapper", "pe").load(request)
    arguments |= {"img_size": 800, "ref_feat_shape": (50, 50)}  # 50 cells over 50: whole cells
    large = timm.create_model("vit_pe_spatial_base_patch16_512", pretrained=False, num_classes=0, **arguments).eval()
    state = {name: tensor for name, tensor in model.state_dict().items() if name in large.state_dict()}
    prefix = 0 if large.no_embed_class else large.num_prefix_tokens
    matrix = weights(32, 50, 50 / 32, "linear")
    table = state["pos_embed"][0]
    grid = np.einsum("ri,cj,ijk->rck", matrix, matrix, table[prefix:].double().numpy().reshape(32, 32, -1))
    state["pos_embed"] = torch.cat([table[:prefix], torch.from_numpy(grid.reshape(2500, -1)).float()])[None]
    large.load_state_dict(state, strict=False)
    pixels = torch.rand(1, 3, 800, 800, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = large.forward_intermediates(pixels, indices=[1], intermediates_only=True, output_fmt="NCHW")[0]
        found = backbone.forward(pixels)
        native = torch.rand(1, 3, 512, 512)
        plain = load_backbone(tmp_path)
        assert torch.allclose(backbone.forward(native), plain.forward(native), atol=1e-5)
        assert not torch.allclose(found, plain.forward(pixels), atol=1e-3)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)


class TestListedModels:
    def test_an_option_of_the_users_wins_and_is_recorded(
        self, tiny_model: TinyModel, as_listed: Callable[[str, Path], None], tmp_path: Path
    ) -> None:
        (tmp_path / "model").symlink_to(tiny_model("siglip"))
        as_listed("siglip_b16", tmp_path / "model")
        paper = load_backbone("siglip_b16")
        changed = load_backbone("siglip_b16", statistics="checkpoint", dtype="bfloat16")
        plain = load_backbone("siglip_b16", recipe="checkpoint")
        assert [model.recipe for model in (paper, changed, plain)] == [
            "paper",
            "paper, changed: dtype, statistics",
            "checkpoint",
        ]
        assert [model.statistics.source for model in (paper, changed, plain)] == [
            "imagenet",
            "checkpoint",
            "checkpoint",
        ]
        assert load_backbone(tiny_model("siglip")).recipe == "checkpoint"
        described = DenseFeatureExtractor(paper, 112).describe()
        assert (described["recipe"], described["positions"]) == ("paper", "antialiased")
        assert "positions" not in DenseFeatureExtractor(plain, 112).describe()
        assert backbone_identity(paper) != backbone_identity(plain)
        assert CompositeBackbone([paper, plain]).recipe == "paper + checkpoint"
        with pytest.raises(UsageError, match="not a model of the paper"):
            load_backbone(tiny_model("siglip"), recipe="paper")

    def test_a_patch_of_14_is_padded_with_zeros(self, tmp_path: Path, as_listed: Callable[[str, Path], None]) -> None:
        """100 px become 112: the content stays at 100, zeros around the normalized image, 8 x 8 cells over 100 px."""
        config = tf.Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=84)
        randomize(tf.Dinov2Model(config)).save_pretrained(tmp_path / "model")
        (tmp_path / "model" / "preprocessor_config.json").write_text(json.dumps(HALF))
        as_listed("dinov2_b14", tmp_path / "model")
        extractor = DenseFeatureExtractor(load_backbone("dinov2_b14"), 100)
        assert (extractor.size, extractor.grid) == (100, 8)
        image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8))
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        content = (torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255 - mean) / std
        canvas = torch.zeros(1, 3, 112, 112)
        canvas[0, :, 6:106, 6:106] = content
        with torch.inference_mode():
            expected = extractor.backbone.forward(canvas)
        torch.testing.assert_close(extractor.extract([image]), expected, atol=1e-5, rtol=1e-5)
        assert extractor.describe()["zero_padding"] == "100 px to 8 x 8 cells"
        august = DenseFeatureExtractor(load_backbone("dinov2_b14", recipe="paper-2026-08"), 100)
        assert (august.size, august.grid) == (98, 7)

    def test_a_family_without_the_rule_refuses(self, tiny_model: TinyModel) -> None:
        from soco_datasets.features.families import family_of
        from soco_datasets.features.families.base import LoadRequest
        from soco_datasets.features.opening import open_checkpoint_folder
        from soco_datasets.features.preprocess import NO_STATISTICS

        request = LoadRequest(
            name="x",
            checkpoint=open_checkpoint_folder(tiny_model("pixio"), label="x"),
            layer=-1,
            norm="none",
            statistics=NO_STATISTICS,
            device="cpu",
            dtype="float32",
            positions="sincos",
        )
        with pytest.raises(BackboneError, match="no positions 'sincos'"):
            family_of("pixio", "x").load(request)


def test_the_page_of_recipes_has_every_row_and_its_choices() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "recipes.md").read_text()
    rows = {line.split("|")[1].strip(): line for line in page.partition("## Half")[0].splitlines() if line[:2] == "| "}
    for spec in BACKBONES:
        if spec.paper_statistics and spec.model_type:
            choices = chosen(spec.name)
            assert choices["statistics"] in rows[spec.name] or choices["statistics"] == "checkpoint"
            assert f"norm {choices['norm']}" in rows[spec.name]
            assert ("812 px by zeros" in rows[spec.name]) == (choices["size"] == "padded")
    for method in METHODS:
        assert method.label in rows[method.name]
        with pytest.raises(BackboneError, match="is not loaded by name"):
            load_backbone(method.name)
