"""Where predictions can come from: honest results have no finding, each kind of forgery is found, cheaply."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from helpers.forgeries import (
    COPIES,
    FORGERIES,
    Forgery,
    moved,
    predictions_of,
    snapped,
    truth,
    with_header,
)
from helpers.hub_results import make_result
from helpers.shared_builds import built_mini
from helpers.shared_data import DATA
from helpers.tiny_map_models import make_map_model
from helpers.tiny_models import make

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.cli import main
from soco_datasets.config import FeatureConfig
from soco_datasets.correspondence.consistency import check_consistency
from soco_datasets.correspondence.grid_positions import (
    best_possible,
    statement_problems,
)
from soco_datasets.correspondence.rerun import rerun_result
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.errors import PredictionsError
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.compose import CompositeBackbone, UpsampledBackbone
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.hub.recompute import ResultFiles
from soco_datasets.hub.verify import check_files, verify_file
from soco_datasets.records.annotated_points import IMAGES_KEY
from soco_datasets.records.evaluation import EvaluationResult, record_from_predictions, write_evaluation
from soco_datasets.records.fingerprint import Fingerprint
from soco_datasets.records.pck_rules import PckRules
from soco_datasets.records.predictions import read_predictions


@pytest.mark.parametrize(("forge", "words"), FORGERIES.values(), ids=FORGERIES)
def test_a_forgery_is_found(honest: pa.Table, forge: Forgery, words: str) -> None:
    found = check_consistency(forge(honest))
    assert found.state == "recomputed"
    assert words in found.line


@pytest.mark.parametrize("scoring", [{}, {"convention": "centered", "valid_area": True}, {"soft_window": 0}], ids=str)
def test_an_honest_result_has_no_findings(
    extractor: DenseFeatureExtractor, folder: DatasetFolder, honest: pa.Table, scoring: dict[str, Any]
) -> None:
    table = predictions_of(extractor, folder, **scoring) if scoring else honest
    found = check_consistency(table)
    assert (found.state, found.findings, found.notes) == ("consistent", (), ())
    assert "predictions on the 14 x 14 grid" in found.line


def test_no_predictions_on_the_grid_are_better_than_the_best_possible(honest: pa.Table) -> None:
    best = best_possible(honest, frozenset({"soc_soft"}))
    own = record_from_predictions(honest, resamples=0).metrics
    forged = record_from_predictions(snapped(honest), resamples=0).metrics
    for task in ("cc", "soc"):
        for alpha, pck in best[task].items():
            assert pck is not None
            assert own[task]["pair"][alpha]["overall"]["pck"] <= pck
            assert forged[task]["pair"][alpha]["overall"]["pck"] == pck
    assert best["soc_soft"]["0.1"] == 1


def test_what_cannot_be_looked_at_is_not_called_consistent(honest: pa.Table) -> None:
    """Leaving out what a check needs gains nothing: neither the patch size nor the candidates of choices."""
    without = {key: value for key, value in honest.schema.metadata.items() if key != IMAGES_KEY}
    chosen = check_consistency(moved(honest, "soc_geo", 5, rows=40).replace_schema_metadata(without))
    assert (chosen.state, chosen.findings) == ("recomputed", ())
    assert "choices were not checked" in chosen.notes[0]
    unsized = check_consistency(with_header(honest, lambda fields: fields["model"].pop("patch_size")))
    assert (unsized.state, unsized.findings) == ("recomputed", ())
    assert "no patch size" in unsized.notes[0]

    def ask_for_more(fields: dict[str, Any]) -> None:
        fields["protocol"]["image_size"] = fields["model"]["requested_size"] = 800

    (note,) = check_consistency(with_header(honest, ask_for_more)).notes
    assert "800 px were asked for and the network saw 112" in note
    for damaged in ("cells", ["cells"], {"grid": "many"}, {"grid": 14, "weights": None}):
        fields = {"parts": [{}, "part"], "composition": damaged, "upsampling": {"factor": "2"}}
        text = partial(with_header, change=lambda header, new=fields: header["model"].update(new))(honest)
        assert check_consistency(text).state == "recomputed"
    assert check_consistency(with_header(honest, lambda fields: fields.update(model={"name": "it"}))).notes


def test_a_file_that_states_no_grid_is_claimed(honest: pa.Table) -> None:
    table = with_header(honest, lambda fields: fields["protocol"].update(grid=None, size=None))
    found = check_consistency(truth(table))
    assert (found.state, found.findings) == ("claimed", ())


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_copies_are_named(honest: pa.Table, change: Forgery) -> None:
    copied = with_header(change(honest), lambda fields: fields["model"].update(name="mine", weights_hash="ab" * 32))
    found = check_consistency(copied, [Fingerprint.of(honest)]).findings
    assert found[-1].kind == "copied"
    assert "of vit" in found[-1].text or "of tiny" in found[-1].text


def test_results_of_the_same_or_of_another_model_are_no_copies(honest: pa.Table, other: pa.Table) -> None:
    sketch = Fingerprint.of(honest)
    same = check_consistency(honest, [sketch])
    assert same.findings == ()
    assert "of the same weights" in same.notes[0]
    assert check_consistency(other, [sketch]).notes == ()


def written(table: pa.Table, out: Path) -> Path:
    return write_evaluation(out, table, record_from_predictions(table, resamples=0))[0]


def test_the_commands_say_what_was_found(
    honest: pa.Table, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mini = str(built_mini())
    record = written(honest, tmp_path / "honest")
    again = ["--rerun", "3", "--seed", "mine", "--model", str(checkpoint)]
    assert main(["verify", str(record), "--data", mini, *again]) == 0
    assert "verified: rerun" in capsys.readouterr().out
    alone = shutil.copytree(record.parent, tmp_path / "alone") / record.name
    assert verify_file(str(alone), mini).verification("ada").state == "consistent"
    assert check_files("it", ResultFiles.of(alone), None).verification().state == "recomputed"
    forged = written(moved(honest, "cc", 0.3, rows=3), tmp_path / "forged")
    found = verify_file(str(forged), mini).verification("ada", "2026-11-30T06:00:00Z")
    assert (found.state, found.by, found.when[:10]) == ("recomputed", "ada", "2026-11-30")
    assert "off the grid" in found.findings[0]
    words = f"inconsistent: 3 of {pc.sum(pc.not_equal(honest['task'], 'soc_soft')).as_py():,} predictions off the grid"
    assert main(["verify", str(forged), "--data", mini]) == 1
    assert words in capsys.readouterr().err
    assert main(["score", str(forged.with_name(forged.stem + ".predictions.parquet"))]) == 0
    assert words in capsys.readouterr().err
    exact = written(snapped(honest), tmp_path / "exact")
    assert main(["verify", str(exact), "--data", mini, "--against", str(tmp_path / "honest")]) == 1
    assert "too good" in capsys.readouterr().err


def test_a_result_of_another_split_is_compared_with_that(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = tmp_path / "pascal", tmp_path / "out"
    build_dataset(DATA / "benchmarks" / "miniatures" / "PF-dataset-PASCAL", data)
    options = ["--data", str(data), "--image-size", "112", "--device", "cpu", "--split", "trn", "--out", str(out)]
    assert main(["evaluate", "--model", "tiny_dinov2", *options]) == 0
    (record,) = out.glob("*.json")
    (predictions,) = out.glob("*.parquet")
    assert main(["verify", str(record), "--data", str(data), "--rerun", "2"]) == 0  # of a model of the package
    assert "verified: rerun" in capsys.readouterr().out
    assert main(["score", str(predictions), "--data", str(data)]) == 0
    rules = PckRules(tasks=("soc",), image_size=112)
    assert any("of the split trn" in text for text in rules.violations(EvaluationResult.read(record)))
    table = with_header(read_predictions(predictions), lambda fields: fields["dataset"].update(split="test"))
    with pytest.raises(PredictionsError, match="not those that were evaluated"):
        EvaluationResult.check_references(table, open_folder(data))


def test_a_claimed_result_matches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = make_result(built_mini(), tmp_path)
    assert main(["verify", str(record), "--data", str(built_mini())]) == 0
    assert "verified: claimed" in capsys.readouterr().out
    assert main(["verify", str(record), "--data", str(built_mini()), "--rerun", "some"]) == 2
    table = read_predictions(record.with_name(record.stem + ".predictions.parquet"))
    with pytest.raises(PredictionsError, match="no patch grid"):
        rerun_result(table, 1, folder=open_folder(built_mini()))


@pytest.mark.parametrize(("kind", "build"), [("dinov2", make), ("swin", make_map_model), ("siglip", make)])
def test_a_models_grid_is_that_of_its_patches(kind: str, build: Callable[[str, Path], Path], tmp_path: Path) -> None:
    backbone = load_backbone(build(kind, tmp_path / "model"))
    finer = UpsampledBackbone(CompositeBackbone([backbone, backbone]), 2)
    padded = load_backbone(tmp_path / "model")
    padded.zero_padded = True
    for model in (backbone, finer, padded):
        extractor = DenseFeatureExtractor(model, 100)
        described = extractor.describe()
        features = FeatureConfig.of_model(described)
        assert statement_problems(described, features) == ([], [])
        wrong, _ = statement_problems(described, dataclasses.replace(features, grid=extractor.grid + 1))
        assert any("make a grid of" in text for text in wrong)
        (text,), _ = statement_problems(described, dataclasses.replace(features, size=extractor.size + 8))
        assert "states the size" in text
