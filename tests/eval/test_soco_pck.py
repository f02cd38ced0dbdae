from __future__ import annotations

import doctest
import inspect
import json
import re
from pathlib import Path

import datasets
import evaluate
import numpy as np
import pytest
import torch
from helpers.file_modules import module_of
from helpers.pair_tables import (
    PAIRS_CC,
    PAIRS_SOC,
    POINTS_SOC,
    build,
    oracle_protocol,
    oracle_tasks,
    pair,
    small_table,
)
from helpers.shared_data import ORACLE

from soco_datasets.data.schema import PAIRS
from soco_datasets.errors import PredictionsError, UsageError
from soco_datasets.records.scores import score

FOLDER = Path(__file__).resolve().parents[2] / "eval" / "soco_pck"
POINTS = [POINTS_SOC[0:2], POINTS_SOC[2:3], POINTS_SOC[3:4], []]  # of PAIRS_SOC
CENTERED = {"convention": "centered"}


@pytest.fixture
def metric(tmp_path):
    return evaluate.load(str(FOLDER), cache_dir=str(tmp_path), experiment_id=tmp_path.name)


def flat(table, task, with_supercategories=False):
    """What the metric must return for a predictions table, from `score`."""

    def row(value):
        scores = {
            f"{prefix}@{alpha}": metrics[reduction][alpha][part][name]["pck"]
            if name
            else metrics[reduction][alpha][part]["pck"]
            for reduction, prefix in (("pair", "pck"), ("keypoint", "pck_keypoint"))
            for alpha in metrics[reduction]
            for part, name in [value]
        }
        some = metrics["pair"]["0.1"][value[0]]
        some = some[value[1]] if value[1] else some
        return {**scores, **{key: some[key] for key in ("pairs", "keypoints", "categories") if key in some}}

    metrics = score(table)[task]
    parts = ["per_category", *(["per_supercategory"] if with_supercategories else [])]
    return {
        **row(("overall", None)),
        **{part: {name: row((part, name)) for name in metrics["pair"]["0.1"][part]} for part in parts},
    }


def test_the_numbers_are_those_of_score(metric):
    supercategories = {"car": "transportation", "cup": "hand-held"}
    found = metric.compute(predictions=POINTS, references=PAIRS_SOC, supercategories=supercategories, **CENTERED)
    assert found == flat(small_table(), "soc", with_supercategories=True)
    assert found["pck@0.1"] == 0.875
    assert (found["pairs"], found["keypoints"]) == (3, 4)
    assert found["per_category"]["cup"]["pck@0.1"] is None


def test_several_valid_targets_count_as_the_nearest(metric):
    found = metric.compute(predictions=[[[12, 60], [90, 11]]], references=PAIRS_CC, alphas=[0.05], **CENTERED)
    assert found["pck@0.05"] == 1.0


@pytest.mark.parametrize("task", ["soc", "cc", "cross_soc", "cross_cc"])
def test_the_oracle_through_the_metric(metric, task):
    tasks = oracle_tasks(ORACLE / "SOCOv1", ORACLE / "expected")
    rows = tasks[task].pairs.to_pylist()
    ends = np.cumsum([len(row["keypoints"]) for row in rows])[:-1]
    found = metric.compute(predictions=np.split(tasks[task].points, ends), references=rows, image_size=280)
    assert found == flat(build({task: tasks[task]}, oracle_protocol()), task)


# --- the forms references take ----------------------------------------------------------------------------------------


def with_images() -> datasets.Dataset:
    """Pair rows with a picture that does not decode, and the columns of soc_geo."""
    broken = {"bytes": b"no image", "path": None}
    rows = [{**row, "source_image": broken, "candidate_keypoints": [["x"]]} for row in PAIRS_SOC]
    features = datasets.Features(
        {
            **PAIRS,
            "source_image": datasets.Image(),
            "candidate_keypoints": datasets.List(datasets.List(datasets.Value("string"))),
        }
    )
    return datasets.Dataset.from_list(rows, features=features)


def test_every_form_of_references_gives_the_same(metric):
    dataset = with_images()
    plain = dataset.remove_columns("source_image")
    want = flat(small_table(), "soc")
    for references in (dataset, dataset.to_iterable_dataset(), plain[:], list(plain), plain.to_list(), PAIRS_SOC):
        assert metric.compute(predictions=POINTS, references=references, **CENTERED) == want
    columns = {name: plain[name] for name in plain.column_names}
    assert (
        metric.compute(predictions=[np.array(p).reshape(-1, 2) for p in POINTS], references=columns, **CENTERED) == want
    )


def test_adding_one_by_one_and_in_batches(metric):
    dataset = with_images().remove_columns("source_image")
    for points, row in zip(POINTS, dataset, strict=True):
        metric.add(prediction=points, reference=row)
    assert len(metric) == 4
    want = metric.compute(**CENTERED)
    assert want == flat(small_table(), "soc")
    metric.add_batch(predictions=POINTS[:3], references=dataset[:3])
    metric.add_batch(predictions=POINTS[3:], references=[dataset[3]])
    assert metric.compute(**CENTERED) == want
    metric.add(prediction=POINTS[3], reference=dataset[3])
    assert metric.compute(predictions=POINTS[:3], references=dataset.select(range(3)), **CENTERED) == want


@pytest.mark.parametrize("names", [("prediction", "reference"), ("predictions", "references")])
def test_one_pair_is_added_under_either_name(metric, names):
    for points, row in zip(POINTS, PAIRS_SOC, strict=True):
        metric.add(**dict(zip(names, (points, row), strict=True)))
    assert metric.compute(**CENTERED) == flat(small_table(), "soc")
    for method in (metric.add, metric.add_batch):
        with pytest.raises(UsageError, match="Unknown input of the metric 'sources'"):
            method(predictions=POINTS, references=PAIRS_SOC, sources=[])
    with pytest.raises(UsageError, match="Give prediction or predictions, not both"):
        metric.add(prediction=POINTS[0], predictions=POINTS[0], references=PAIRS_SOC[0])


def test_predictions_as_a_model_gives_them(metric):
    want = flat(small_table(), "soc")
    tensors = [torch.tensor(points, dtype=torch.float64).reshape(-1, 2) for points in POINTS]
    for given in (
        [tensor.requires_grad_() for tensor in tensors],
        [list(tensor) for tensor in tensors],
        [[list(point) for point in tensor] for tensor in tensors],
        [tuple(map(tuple, tensor.tolist())) for tensor in tensors],
    ):
        assert metric.compute(predictions=given, references=PAIRS_SOC, **CENTERED) == want
    rough = torch.tensor([[55.0, 60.0], [20.0, 10.0]])
    pair_of_two = [pair("car/1", "car", {"wheel": [[50, 60]], "roof": [[20, 10]]}, box=[0, 0, 100, 80])]
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    for kind in (torch.bfloat16, torch.float16, torch.float32, torch.int64):
        for device in devices:
            given = rough.to(device, kind)
            for one in (given, list(given), given.unsqueeze(0)[0]):
                found = metric.compute(predictions=[one], references=pair_of_two, alphas=[0.1], **CENTERED)
                assert found["pck@0.1"] == 1.0
    with pytest.raises(PredictionsError, match=r"predictions\[0\] \(car/1\).*meta"):
        metric.compute(predictions=[rough.to("meta")], references=pair_of_two)


def test_formats_and_transforms_of_references_are_the_models_affair(metric):
    dataset = with_images()
    plain = dataset.remove_columns("source_image")
    want = flat(small_table(), "soc")

    def broken(batch):
        return {"pixel_values": [image.size for image in batch["source_image"]]}

    for references in (
        dataset.with_transform(broken),
        dataset.with_format("torch", columns=["target_size"]),
        plain.with_format("numpy"),
        plain.with_format("torch"),
        plain.with_format("torch")[:],
        list(plain.with_format("torch")),
        plain.with_format("arrow"),
        plain.to_iterable_dataset().with_format("torch"),
    ):
        assert metric.compute(predictions=POINTS, references=references, **CENTERED) == want


def test_extra_columns_and_images_are_ignored(metric):
    rows = [{**row, "source_image": object(), "candidate_points": None} for row in PAIRS_SOC]
    assert metric.compute(predictions=POINTS, references=rows, **CENTERED) == flat(small_table(), "soc")


def test_nothing_to_score_is_none(metric):
    empty = metric.compute(predictions=[], references=[])
    assert (empty["pck@0.1"], empty["pairs"], empty["per_category"]) == (None, 0, {})
    no_query = metric.compute(predictions=[[]], references=[PAIRS_SOC[3]])
    assert (no_query["pck@0.1"], no_query["keypoints"], no_query["per_category"]["cup"]["pairs"]) == (None, 0, 0)


def test_variants_by_argument(metric):
    one = {
        "predictions": [[[55.5, 60.2]]],
        "references": [pair("car/1", "car", {"wheel": [[50, 60]]}, box=[0, 0, 20, 20])],
    }
    assert metric.compute(**one, alphas=[0.1], **CENTERED)["pck@0.1"] == 0.0  # 5.5 px of 20
    assert metric.compute(**one, alphas=[0.1], normaliser="image", **CENTERED)["pck@0.1"] == 1.0  # of 200
    only = metric.compute(**one, alphas=0.5, reductions="keypoint")
    assert only["pck_keypoint@0.5"] == 1.0
    assert "pck@0.5" not in only
    fine = {
        "predictions": [[[50, 60]]],
        "references": [pair("car/1", "car", {"wheel": [[59.9, 60]]}, box=[0, 0, 20, 20])],
    }
    assert metric.compute(**fine, alphas=[0.1])["pck@0.1"] == 0.0
    assert metric.compute(**fine, alphas=[0.1], image_size=20)["pck@0.1"] == 1.0  # both fall in network pixel (5, 6)


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        (
            [[[1, 2]], *POINTS[1:]],
            r"predictions\[0\] \(car/1\) has 1 point\(s\) but the pair has 2 queries \(wheel, roof\)",
        ),
        ([*POINTS[:3], [[1, 2]]], r"predictions\[3\] \(cup/1\) has 1 point\(s\) but the pair has 0"),
        ([POINTS[0], [[np.nan, 1]], *POINTS[2:]], r"predictions\[1\] \(car/2\): point 0 is not finite"),
        ([POINTS[0], [[None, 1]], *POINTS[2:]], r"predictions\[1\] \(car/2\)"),
        ([POINTS[0], [[1, 2, 3]], *POINTS[2:]], r"predictions\[1\] \(car/2\) must be a list of points"),
        ([POINTS[0], [5, 6], *POINTS[2:]], r"predictions\[1\] \(car/2\) must be a list of points"),
        ([POINTS[0], "here", *POINTS[2:]], r"predictions\[1\] \(car/2\) is not a list of points"),
        ([POINTS[0], [[1j, 1]], *POINTS[2:]], r"predictions\[1\] \(car/2\) .*complex"),
        ([POINTS[0], torch.tensor([[1j, 1]]), *POINTS[2:]], r"predictions\[1\] \(car/2\) .*complex"),
        (POINTS[:3], "3 predictions for 4 references"),
    ],
)
def test_bad_predictions_name_the_row_and_the_pair(metric, predictions, message):
    with pytest.raises((PredictionsError, UsageError), match=message):
        metric.compute(predictions=predictions, references=PAIRS_SOC)
    assert len(metric) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target_size": [0, 5]}, r"references\[1\] \(car/2\): target_size"),
        ({"target_size": None}, r"references\[1\] \(car/2\): target_size"),
        ({"target_bbox": [9, 0, 1, 5]}, r"references\[1\] \(car/2\): .*target_bbox"),
        ({"target_bbox": [9, 0]}, r"references\[1\] \(car/2\): .*target_bbox"),
        ({"target_points": [[]]}, r"references\[1\] \(car/2\): .*empty for wheel"),
        ({"target_points": []}, r"references\[1\] \(car/2\): 1 keypoints but 0 lists"),
        ({"target_points": [[[1, np.inf]]]}, r"references\[1\] \(car/2\): target_points\[0\].*not finite"),
        ({"pair_group": None}, r"references\[1\] \(car/2\): pair_group"),
        ({"pair_id": "car/1"}, "Pair car/1 was given twice, as rows 0 and 1"),
    ],
)
def test_bad_references_name_the_row_and_the_pair(metric, change, message):
    rows = [PAIRS_SOC[0], {**PAIRS_SOC[1], **change}]
    with pytest.raises((PredictionsError, UsageError), match=message):
        metric.compute(predictions=POINTS[:2], references=rows)


def test_rows_that_are_no_pairs_are_refused(metric):
    with pytest.raises(UsageError, match=r"references\[0\] \(None\) lacks pair_id"):
        metric.compute(predictions=[[[1, 2]]], references=[{"image_id": "car/car_1"}])
    with pytest.raises(UsageError, match=r"references\[0\] must be a pair row"):
        metric.compute(predictions=[[[1, 2]]], references=["car/car_1"])
    with pytest.raises(UsageError, match="one row; use add"):
        metric.compute(predictions=POINTS[:1], references=PAIRS_SOC[0])
    with pytest.raises(UsageError, match="Give both"):
        metric.compute(predictions=POINTS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alphas": [0]}, "alphas"),
        ({"alphas": ["a tenth"]}, "alphas"),
        ({"reductions": ["pairs"]}, "Did you mean 'pair'"),
        ({"normaliser": "box"}, "Did you mean 'bbox'"),
        ({"convention": "centred"}, "Did you mean 'centered'"),
        ({"image_size": 0}, "image_size"),
    ],
)
def test_bad_options_are_refused_and_the_metric_still_works(metric, options, message):
    with pytest.raises(UsageError, match=message):
        metric.compute(predictions=POINTS, references=PAIRS_SOC, **options)
    assert metric.compute(predictions=POINTS, references=PAIRS_SOC, **CENTERED)["pck@0.1"] == 0.875


def test_an_unknown_option_is_refused(metric):
    with pytest.raises(TypeError, match="alpha"):
        metric.compute(predictions=POINTS, references=PAIRS_SOC, alpha=0.1)
    kinds = {parameter.kind for parameter in inspect.signature(metric._compute).parameters.values()}
    assert inspect.Parameter.VAR_KEYWORD not in kinds


# --- the card and the Space -------------------------------------------------------------------------------------------


def test_the_example_of_the_card_prints_what_it_says(monkeypatch, capsys):
    load = evaluate.load
    monkeypatch.setattr(evaluate, "load", lambda name: load(str(FOLDER)) if name == "soco_pck" else None)
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    (code,), (shown,) = (re.findall(f"```{kind}\n(.*?)```", card, flags=re.DOTALL) for kind in ("python", "text"))
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.splitlines()[-1] == shown.strip()


def test_the_example_of_the_docstring_runs(monkeypatch, metric):
    load = evaluate.load
    monkeypatch.setattr(evaluate, "load", lambda name: load(str(FOLDER)))
    examples = doctest.DocTestParser().get_doctest(metric.inputs_description, {}, "soco_pck", None, 0)
    assert len(examples.examples) >= 4
    assert doctest.DocTestRunner().run(examples).failed == 0


def test_the_card_is_a_space(metric):
    from huggingface_hub import RepoCard

    card = RepoCard.load(FOLDER / "README.md").data.to_dict()
    assert (card["sdk"], card["app_file"]) == ("gradio", "app.py")
    assert {"evaluate", "metric"} <= set(card["tags"])
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    arguments = list(inspect.signature(metric._compute).parameters)
    assert all(f"`{name}`" in text for name in arguments)
    assert all(f"{name} (" in metric.inputs_description for name in arguments)
    assert "soco-datasets" in (FOLDER / "requirements.txt").read_text(encoding="utf-8")


def test_the_space_scores_its_example_and_tells_errors():
    app = module_of(FOLDER / "app.py")
    references = json.dumps(app.EXAMPLE_REFERENCES)
    assert app.score(json.dumps(app.EXAMPLE_PREDICTIONS), references)["pck@0.1"] == 0.5
    assert "has 1 point(s)" in app.score("[[[1, 2]]]", references)["error"]
    assert "error" in app.score("no json", references)
