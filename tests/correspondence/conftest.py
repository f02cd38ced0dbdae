"""A tiny model on the mini set, and what it and another model predict: for checks of where predictions come from."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from helpers.forgeries import SIZE, predictions_of
from helpers.shared_builds import built_mini
from helpers.tiny_models import make

from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.extractor import DenseFeatureExtractor


@pytest.fixture(scope="module")
def folder() -> DatasetFolder:
    return open_folder(built_mini())


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("vit", tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def extractor(checkpoint: Path) -> DenseFeatureExtractor:
    return DenseFeatureExtractor(load_backbone(checkpoint), SIZE)


@pytest.fixture(scope="module")
def honest(extractor: DenseFeatureExtractor, folder: DatasetFolder) -> pa.Table:
    return predictions_of(extractor, folder)


@pytest.fixture(scope="module")
def other(checkpoint: Path, folder: DatasetFolder) -> pa.Table:
    """The predictions of another model: the first block instead of the last."""
    return predictions_of(DenseFeatureExtractor(load_backbone(checkpoint, layer=0), SIZE), folder)
