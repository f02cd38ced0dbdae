"""The examples of docs/howto/plugins.md."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from soco_datasets.features.heads import load_head
from soco_datasets.features.plugin import PluginBackbone, load_plugin

DOCS = Path(__file__).parents[2] / "docs" / "howto" / "plugins.md"


def example(name: str) -> str:
    """The code block of the docs that begins with the file's name."""
    blocks: list[str] = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    return next(block for block in blocks if block.startswith(f"# {name}\n"))


PATCHES = '''
import torch

class Patches(torch.nn.Module):
    """The interface of the released model around a patch embedding, so that where features lie can be checked."""

    def __init__(self, patch, **options):
        super().__init__()
        torch.manual_seed(0)
        self.patch_embed = torch.nn.Conv2d(3, 6, patch, stride=patch)

    def tokens(self, images):
        return self.patch_embed(images).flatten(2).transpose(1, 2)
'''
HUB = (
    PATCHES
    + """
class Encoder(Patches):
    def get_intermediate_layers(self, images, n=1, reshape=False, return_class_token=False, norm=True):
        assert norm and not reshape and not return_class_token
        return tuple(self.tokens(images) for _ in n)

def dune_vitbase_14_448_encoder():
    return Encoder(14)
"""
)
CROCO = (
    PATCHES
    + """
class CroCoNet(Patches):
    def __init__(self, **options):
        super().__init__(16, **options)
        self.patch_embed.img_size = (224, 224)

    def _encode_image(self, image, do_mask=False, return_all_blocks=False):
        assert tuple(image.shape[-2:]) == self.patch_embed.img_size
        return self.tokens(image), None, None
"""
)
VJEPA21 = (
    PATCHES
    + """
class Encoder(Patches):
    def forward(self, clips):
        frames = clips.unbind(2)
        assert len(frames) == 2 and torch.equal(*frames)
        return self.tokens(frames[0])

def vjepa2_1_vit_base_384(pretrained=True):
    assert not pretrained
    return Encoder(16), None
"""
)
VGGT = (
    PATCHES
    + """
class Aggregator(Patches):
    def forward(self, images):
        batch, views = images.shape[:2]
        tokens = self.tokens(images.flatten(0, 1)).unflatten(0, (batch, views))
        special = torch.full((batch, views, 5, 6), 9.0)
        return [torch.zeros(1), torch.cat([special, tokens], dim=2)], 5

class VGGT(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.aggregator = Aggregator(14)

    @classmethod
    def from_pretrained(cls, name):
        assert name == "facebook/VGGT-1B"
        return cls()
"""
)


class TestTheExamplesOfTheDocs:
    """Run as they stand in docs/howto/plugins.md, on models with the interface of the released ones but one layer."""

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        known = set(sys.modules)
        monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
        yield tmp_path
        for name in set(sys.modules) - known:
            if name.partition(".")[0] in ("models", "vggt"):
                del sys.modules[name]

    def load(self, folder: Path, name: str, attribute: str) -> PluginBackbone:
        (folder / name).write_text(example(name))
        backbone = load_plugin(f"{folder / name}:{attribute}")
        self.assert_raster(backbone)
        return backbone

    def assert_raster(self, backbone: PluginBackbone) -> None:
        """A change inside one cell moves that cell's feature, and no other."""
        stride = backbone.patch_size
        pixels = torch.rand(2, 3, 3 * stride, 5 * stride)
        before = backbone.forward(pixels)
        for row, column in [(0, 0), (0, 4), (2, 0), (1, 3)]:
            changed = pixels.clone()
            changed[1, :, row * stride : (row + 1) * stride, column * stride : (column + 1) * stride] += 1
            moved = (backbone.forward(changed) - before).norm(dim=1)
            assert [tuple(where) for where in moved.nonzero().tolist()] == [(1, row, column)]

    def test_mean_color(self, folder: Path) -> None:
        assert self.load(folder, "mean_color.py", "features").channels == 3

    def test_dune(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder / "hub").mkdir()
        (folder / "hub" / "hubconf.py").write_text(HUB)
        weights = folder / "checkpoints" / "dune" / "dune_vitbase14_448.pth"
        weights.parent.mkdir(parents=True)
        weights.write_bytes(b"weights")
        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(folder))
        real = torch.hub.load
        local = lambda repository, name, trust_repo: real(str(folder / "hub"), name, source="local")  # noqa: E731
        monkeypatch.setattr(torch.hub, "load", local)
        backbone = self.load(folder, "dune.py", "Dune")
        assert (backbone.name, backbone.statistics.source) == ("dune_vitb14", "imagenet")
        assert backbone.weights_hash == hashlib.sha256(b"weights").hexdigest()

    def test_croco(self, folder: Path) -> None:
        package = folder / "croco" / "models"
        package.mkdir(parents=True)
        (package / "croco.py").write_text(CROCO)
        sys.path.append(str(folder / "croco"))
        from models.croco import CroCoNet  # written above

        checkpoint = {"croco_kwargs": {"pos_embed": "RoPE100"}, "model": CroCoNet().state_dict()}
        torch.save(checkpoint, folder / "CroCo_V2_ViTBase_BaseDecoder.pth")
        assert self.load(folder, "croco_v2.py", "Croco").patch_size == 16

    def test_vjepa2_1(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder / "hub").mkdir()
        (folder / "hub" / "hubconf.py").write_text(VJEPA21)
        real = torch.hub.load

        def local(repository: str, name: str, *, pretrained: bool, trust_repo: bool) -> Any:
            return real(str(folder / "hub"), name, source="local", pretrained=pretrained)

        monkeypatch.setattr(torch.hub, "load", local)
        encoder, _ = real(str(folder / "hub"), "vjepa2_1_vit_base_384", source="local", pretrained=False)
        tensors = {f"module.backbone.{name}": tensor + 1 for name, tensor in encoder.state_dict().items()}
        torch.save({"ema_encoder": tensors}, folder / "vjepa2_1_vitb_dist_vitG_384.pt")
        backbone = self.load(folder, "vjepa2_1.py", "VJepa21")
        assert (backbone.name, backbone.statistics.source) == ("vjepa2_1_base", "imagenet")
        with torch.inference_mode():
            loaded = backbone.forward(torch.ones(1, 3, 16, 16)) - encoder.tokens(torch.ones(1, 3, 16, 16)).mT[..., None]
        torch.testing.assert_close(loaded, torch.full((1, 6, 1, 1), 3 * 16 * 16 + 1.0))  # the saved weights, not others

    def test_vggt(self, folder: Path) -> None:
        package = folder / "vggt" / "models"
        package.mkdir(parents=True)
        (package / "vggt.py").write_text(VGGT)
        backbone = self.load(folder, "vggt_aggregator.py", "Vggt")
        assert backbone.statistics.source == "none"

    def test_the_rest_of_the_page(self, folder: Path, save_model: Callable[..., Path]) -> None:
        names = {"dinov2_b14": save_model("dinov2", name="a"), "dino_b16": save_model("vit", name="b")}
        blocks = [block for block in re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL) if block[0] != "#"]
        assert len(blocks) == 2
        for block in blocks:
            for name, model in names.items():
                block = block.replace(name, str(model))
            block = block.replace("768", "32").replace("eye.safetensors", str(folder / "eye.safetensors"))
            found: dict[str, Any] = {}
            exec(block, found)
            assert found["backbone"].channels in (32, 192)
        assert load_head(folder / "eye.safetensors").metadata == {"trained_on": "nothing"}
