"""Plug-ins: what they may be, what is refused and how it is said."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from soco_datasets.errors import BackboneError, UsageError
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.features.plugin import PluginBackbone, load_plugin, plugin
from soco_datasets.features.selfcheck.check_model import check_backbone


@plugin(stride=16)
def means(images: torch.Tensor) -> torch.Tensor:
    return nn.functional.avg_pool2d(images, 16)


def made(function: Callable[..., Any], **attributes: Any) -> Any:
    """A fresh callable with attributes of its own."""

    def call(images: torch.Tensor) -> Any:
        return function(images)

    for name, value in {"stride": 16, **attributes}.items():
        setattr(call, name, value)
    return call


class TestWhatMayBeAPlugin:
    def test_a_function(self) -> None:
        backbone = load_plugin(means)
        assert (backbone.name, backbone.patch_size, backbone.channels, backbone.dtype) == ("means", 16, 3, "float32")
        assert (backbone.layer, backbone.num_prefix_tokens, backbone.revision) == (None, 0, None)
        image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
        extractor = DenseFeatureExtractor(backbone, 40)
        assert (extractor.size, extractor.grid) == (32, 2)
        pixels = torch.from_numpy(extractor.prepare(image).astype(np.float32) / 255).permute(2, 0, 1)[None]
        assert torch.equal(extractor.extract([image]), means(pixels))

    def test_a_class_and_an_object(self) -> None:
        class Made:
            patch_size = 8
            name = "my model"
            revision = "v2"

            def __call__(self, images: torch.Tensor) -> torch.Tensor:
                return nn.functional.max_pool2d(images, 8)

        for given in (Made, Made()):
            backbone = load_plugin(given)
            assert (backbone.name, backbone.revision, backbone.patch_size) == ("my model", "v2", 8)

    def test_a_module_is_frozen_and_in_eval_mode(self) -> None:
        module: Any = nn.Sequential(nn.Conv2d(3, 5, 8, stride=8), nn.Dropout(0.9))
        module.stride = 8
        backbone = load_plugin(module)
        pixels = torch.rand(1, 3, 32, 32)
        assert torch.equal(backbone.forward(pixels), backbone.forward(pixels))
        assert not module.training
        assert not any(parameter.requires_grad for parameter in module.parameters())

    def test_load_backbone_takes_them_too(self, tmp_path: Path) -> None:
        (tmp_path / "mine.py").write_text("def f(images):\n    return images[:, :, ::4, ::4]\nf.stride = 4\n")
        backbone = load_backbone(f"{tmp_path}/mine.py:f")
        assert isinstance(backbone, PluginBackbone)
        assert DenseFeatureExtractor(backbone, 64).describe()["plugin"] == f"{tmp_path}/mine.py:f"
        assert load_backbone(means).name == "means"

    def test_a_module_by_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        package = tmp_path / "my_models_3c1"
        package.mkdir()
        (package / "__init__.py").write_text("from .deep import Deep\n")
        (package / "deep.py").write_text(
            "class Deep:\n    stride = 8\n    @staticmethod\n    def call(images):\n        return images[:, :1, ::8, ::8]\n"
            "    def __call__(self, images):\n        return self.call(images)\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        assert load_plugin("my_models_3c1.deep:Deep").channels == 1
        whole = load_plugin("my_models_3c1:Deep")
        assert whole.name == "Deep"
        (package / "deep.py").write_text((package / "deep.py").read_text() + "# changed\n")
        assert load_plugin("my_models_3c1:Deep").config_hash != whole.config_hash

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    def test_half_precision(self, dtype: str) -> None:
        backbone = load_plugin(made(lambda images: means(images).to(getattr(torch, dtype))))
        maps = DenseFeatureExtractor(backbone, 32).extract([Image.new("RGB", (9, 9))])
        assert (backbone.dtype, maps.dtype) == (dtype, getattr(torch, dtype))


class TestWhatItSays:
    @pytest.mark.parametrize(
        ("declared", "mean", "source"),
        [
            ("imagenet", 0.485, "imagenet"),
            ("none", 0.0, "none"),
            (None, 0.0, "none"),
            (((0.1, 0.2, 0.3), (1, 1, 2)), 0.1, "plugin"),
        ],
    )
    def test_statistics(self, declared: Any, mean: float, source: str) -> None:
        backbone = load_plugin(made(means, statistics=declared))
        assert (backbone.statistics.mean[0], backbone.statistics.source) == (mean, source)
        assert load_plugin(made(means, statistics=declared), statistics="clip").statistics.source == "clip"

    def test_statistics_reach_the_images(self) -> None:
        image = Image.new("RGB", (16, 16), (255, 255, 255))
        extractor = DenseFeatureExtractor(load_plugin(made(means, statistics="half")), 16)
        assert torch.equal(extractor.extract([image]), torch.ones(1, 3, 1, 1))

    def test_sizes(self) -> None:
        assert DenseFeatureExtractor(load_plugin(made(means, size_multiple=48)), 100).size == 96
        fixed = DenseFeatureExtractor(load_plugin(made(means, image_size=64)), 800)
        assert (fixed.size, fixed.grid, fixed.requested_size) == (64, 4, 800)

    def test_a_stride_that_is_not_said_is_found(self) -> None:
        backbone = load_plugin(made(means, stride=None))
        assert (backbone.patch_size, backbone.size_multiple) == (16, 16)
        for function in (lambda images: images[:, :, :3, :5], lambda images: images.flatten(2), lambda images: 1 / 0):
            with pytest.raises(BackboneError, match=r"probe image.*@plugin\(stride=16\)"):
                load_plugin(made(function, stride=None))

    def test_square_images_only(self) -> None:
        """Evaluations show it nothing else, and the self-check then asks for nothing else."""

        def squares(images: torch.Tensor) -> torch.Tensor:
            assert images.shape[2] == images.shape[3]
            return nn.functional.pixel_unshuffle(images, 16)

        assert not check_backbone(load_plugin(made(squares))).passed
        backbone = load_plugin(made(squares, square_only=True))
        assert check_backbone(backbone).passed
        with pytest.raises(BackboneError, match="square pixels only"):
            backbone.forward(torch.rand(1, 3, 32, 48))

    def test_weights_and_source_name_what_ran(self, tmp_path: Path) -> None:
        source, weights = tmp_path / "mine.py", tmp_path / "weights.pth"
        source.write_text("def f(images):\n    return images[:, :, ::4, ::4]\nf.stride = 4\n")
        backbone = load_plugin(f"{source}:f")
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        assert (backbone.weights_hash, backbone.config_hash) == (digest, digest)
        source.write_text(source.read_text() + "f.weights = 'weights.pth'\n")
        with pytest.raises(BackboneError, match=r"weights that are not there: .*weights\.pth"):
            load_plugin(f"{source}:f")
        weights.write_bytes(b"numbers")
        backbone = load_plugin(f"{source}:f")
        assert backbone.weights_hash == hashlib.sha256(b"numbers").hexdigest()
        assert backbone.config_hash == hashlib.sha256(source.read_bytes()).hexdigest()
        assert backbone.config_hash != digest

    def test_a_changed_file_is_read_again(self, tmp_path: Path) -> None:
        source = tmp_path / "mine.py"
        for channels in (1, 2):
            source.write_text(f"def f(images):\n    return images[:, :{channels}, ::4, ::4]\nf.stride = 4\n")
            assert load_plugin(f"{source}:f").channels == channels

    @pytest.mark.parametrize(
        ("attributes", "text"),
        [
            ({"stride": 16.0}, r"stride 16\.0; it must be a positive whole number"),
            ({"stride": 0}, "stride 0"),
            ({"stride": True}, "stride True"),
            ({"size_multiple": 24}, "size_multiple 24, which is not a multiple of its stride 16"),
            ({"image_size": 40}, "image_size 40, which is not a multiple of its stride 16"),
            ({"image_size": 48, "size_multiple": 32}, "image_size 48, no multiple of its size_multiple 32"),
            ({"square_only": "yes"}, "square_only 'yes'; it must be True or False"),
            ({"statistics": "imagnet"}, "Did you mean 'imagenet'"),
            ({"statistics": ((0, 0), (1, 1))}, "three numbers each"),
            ({"statistics": ((0, 0, 0), (1, 0, 1))}, "std above 0"),
            ({"statistics": 3}, "three numbers each"),
        ],
    )
    def test_what_it_may_not_say(self, attributes: dict[str, Any], text: str) -> None:
        with pytest.raises(BackboneError, match=text):
            load_plugin(made(means, **attributes))

    def test_the_decorator_knows_its_words(self) -> None:
        with pytest.raises(UsageError, match="Did you mean 'stride'"):
            plugin(strid=16)

    @pytest.mark.parametrize("option", [{"layer": 3}, {"norm": "final"}, {"dtype": "float16"}, {"revision": "main"}])
    def test_options_of_other_models(self, option: dict[str, Any]) -> None:
        with pytest.raises(UsageError, match=f"decides about `{next(iter(option))}` itself"):
            load_plugin(means, **option)


def not_a_number(images: torch.Tensor) -> torch.Tensor:
    return means(images) / 0 * 0


class TestWhatItGives:
    @pytest.mark.parametrize(
        ("function", "text"),
        [
            (lambda images: means(images).numpy(), "gave ndarray for pixels .*; expected a tensor"),
            (lambda images: [means(images)], "gave list"),
            (lambda images: means(images).flatten(2).mT, r"gave \(1, 196, 3\).*reshape\(B, C, 14, 14\)"),
            (lambda images: means(images)[0, 0], r"gave \(14, 14\)"),
            (lambda images: means(images)[:0], r"gave \(0, 3, 14, 14\)"),
            (lambda images: means(images)[:, :0], r"gave \(1, 0, 14, 14\)"),
            (lambda images: means(images)[..., :-1], r"stride 16, so .* 14x14 cells, but it has 14x13"),
            (lambda images: nn.functional.avg_pool2d(images, 14), "14x14 cells, but it has 16x16"),
            (lambda images: means(images).double(), "gave float64 .*; expected float32, float16, bfloat16"),
            (lambda images: means(images).int(), "gave int32"),
            (lambda images: means(images).to("meta"), "its map on meta for pixels on cpu.*`to\\(device\\)`"),
            (not_a_number, "gave NaN or infinite features"),
            (lambda images: sys.exit(0), "failed on a trial image.*SystemExit: 0"),
            (lambda images: 1 // 0, r"failed on a trial image.*ZeroDivisionError.*test_plugin\.py, line \d+"),
        ],
    )
    def test_mistakes_are_found_at_loading(self, function: Callable[..., Any], text: str) -> None:
        with pytest.raises(BackboneError, match=text):
            load_plugin(made(function))

    def test_later_mistakes_are_found_too(self) -> None:
        answers = [means, lambda images: means(images)[:, :2], lambda images: means(images).half(), not_a_number, print]
        backbone = load_plugin(made(lambda images: answers.pop(0)(images)))
        extractor = DenseFeatureExtractor(backbone, 32)
        for text in ("gave 2 channels", "of float16, but 3 of float32", "NaN", "gave NoneType"):
            with pytest.raises(BackboneError, match=text):
                extractor.extract([Image.new("RGB", (9, 9))])
        with pytest.raises(BackboneError, match=r"failed on pixels \(1, 3, 32, 32\): IndexError"):
            extractor.extract([Image.new("RGB", (9, 9))])

    def test_its_images_are_its_own(self) -> None:
        backbone = load_plugin(made(lambda images: means(images.mul_(0))))
        pixels = torch.rand(1, 3, 32, 32)
        before = pixels.clone()
        backbone.forward(pixels)
        assert torch.equal(pixels, before)

    def test_other_shapes_never_reach_it(self) -> None:
        with pytest.raises(BackboneError, match="multiples of 16"):
            load_plugin(means).forward(torch.rand(1, 3, 40, 40))


class TestImports:
    @pytest.mark.parametrize(
        ("source", "name", "text"),
        [
            ("", "absent", r"has no 'absent'"),
            ("def feature(images): ...", "features", "Did you mean 'feature'"),
            ("features = 3", "features", "is int, which cannot be called"),
            (
                "import torch\nimport absent_package_9",
                "f",
                r"ModuleNotFoundError: .*absent_package_9.*mine\.py, line 2",
            ),
            ("def f(:", "f", "SyntaxError"),
            ("import sys\nsys.exit(0)", "f", "SystemExit"),
            (
                "class f:\n    def __init__(self):\n        raise OSError('no weights')",
                "f",
                "Making .* failed: OSError: no",
            ),
            ("class f:\n    def __init__(self):\n        raise SystemExit(2)", "f", "Making .* failed: SystemExit: 2"),
            (
                "class f:\n    stride = 8\n    def to(self, device):\n        raise OSError('full')\n"
                "    def __call__(self, images): ...",
                "f",
                "Moving .* to cpu failed: OSError: full",
            ),
        ],
    )
    def test_files_that_fail(self, source: str, name: str, text: str, tmp_path: Path) -> None:
        (tmp_path / "mine.py").write_text(source)
        with pytest.raises(BackboneError, match=text):
            load_plugin(f"{tmp_path}/mine.py:{name}")

    def test_a_failed_import_leaves_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "half_9.py").write_text("def f(images): ...\n1 / 0\n")
        with pytest.raises(BackboneError, match=r"ZeroDivisionError: division by zero \(.*half_9\.py, line 2\)"):
            load_plugin(f"{tmp_path}/half_9.py:f")
        assert not [module for module in sys.modules if "half_9" in module]
        assert [path.name for path in tmp_path.iterdir()] == ["half_9.py"]

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("absent_package_9.models:features", "no module 'absent_package_9'.*PYTHONPATH.*path/to/file.py:function"),
            ("json.absent_9:features", r"no module 'json\.absent_9'"),
            ("json:absent", "has no 'absent'"),
            ("json:load.absent", "has no 'load.absent'"),
            ("./absent_9.py:features", "There is no plug-in file"),
            ("./absent_9.py", r"names no function: write \./absent_9\.py:function"),
        ],
    )
    def test_names_that_lead_nowhere(self, name: str, text: str) -> None:
        with pytest.raises(BackboneError, match=text):
            load_backbone(name)
