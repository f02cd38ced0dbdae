"""`soco_datasets.evaluate` and `Result`, as a notebook uses them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.shared_builds import built_mini

torch = pytest.importorskip("torch")
from torch import nn

import soco_datasets
from soco_datasets import (
    CachePolicy,
    FeatureConfig,
    Result,
    RunConfig,
    ScoringConfig,
    TrainingEvaluator,
    evaluate,
    evaluate_backbone,
    load_backbone,
    prediction_errors,
    subset,
)
from soco_datasets.benchmarks.tasks import TASKS
from soco_datasets.correspondence.plausible import check_grid
from soco_datasets.data.subset import FolderSubset
from soco_datasets.errors import PredictionsError, UsageError, speaks_options
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.records.error_analysis import CLASSES
from soco_datasets.reporting import plots

SIZE = 64


@pytest.fixture(scope="module")
def data() -> FolderSubset:
    return subset(built_mini(), "cc,soc,cross_soc,soc_soft", pairs=12)


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 8, 8), nn.BatchNorm2d(6))


@pytest.fixture(scope="module")
def result(net: nn.Module, data: FolderSubset) -> Result:
    return evaluate(net, data, "cc,soc,cross_soc,soc_soft", image_size=SIZE)


MODELS: dict[str, Callable[[nn.Module], Any]] = {
    "module": lambda net: net,
    "function without a stride": lambda net: lambda images: net.eval()(images),
    "backbone": load_backbone,
    "extractor": lambda net: DenseFeatureExtractor(load_backbone(net), 800),
}


@pytest.mark.parametrize("kind", MODELS)
def test_any_model_and_any_way_to_say_it_gives_the_same_scores(
    kind: str, net: nn.Module, data: FolderSubset, result: Result
) -> None:
    found = evaluate(MODELS[kind](net), data, ["SOC", TASKS["cross_soc"]], features=FeatureConfig(image_size=SIZE))
    assert found.record.metrics == {task: result.record.metrics[task] for task in ("soc", "cross_soc")}


def test_a_module_is_left_as_it_was(data: FolderSubset) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.BatchNorm2d(4).eval(), nn.Dropout())
    module[0].bias.requires_grad_(False)
    before = torch.get_rng_state()
    evaluate(module, data, "soc", image_size=SIZE)
    assert [one.training for one in module.modules()] == [True, True, False, True]
    assert [value.requires_grad for value in module.parameters()] == [True, False, True, True]
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_of_transformers_in_memory_is_the_model_in_its_folder(tmp_path: Path, data: FolderSubset) -> None:
    pytest.importorskip("transformers")
    from helpers.tiny_models import make
    from transformers import ViTModel

    module: Any = ViTModel.from_pretrained(make("vit", tmp_path / "vit"))
    with pytest.raises(soco_datasets.SocoError, match=r"How are the pixels of ViTModel normalized\?"):
        evaluate(module, data, "soc", image_size=SIZE)
    module.statistics = "imagenet"
    found = evaluate(module, data, "soc", image_size=SIZE)
    same = evaluate(str(tmp_path / "vit"), data, "soc", features=FeatureConfig(image_size=SIZE, norm=True))
    assert found.record.metrics == same.record.metrics  # its last hidden state is the one after the final norm
    assert found.flat()["soco/soc/pck@0.1"] > 0


def test_the_lower_functions_fit_together(net: nn.Module) -> None:
    folder = soco_datasets.open_folder(built_mini())
    backbone = load_backbone(net)
    small = subset(folder, "soc", pairs=2)
    extractor = DenseFeatureExtractor(backbone, SIZE)
    assert soco_datasets.dataset_folder(str(built_mini())) is folder
    assert soco_datasets.open_folder(small) is small
    assert len(soco_datasets.load_dataset("soc", split="test", data_dir=folder)) == 192
    evaluation = evaluate_backbone(extractor, small, "soc")
    assert evaluation.result.protocol.features.image_size == SIZE
    assert evaluate_backbone(backbone, small, "SOC").result.protocol.features.image_size == 800
    with pytest.raises(UsageError, match=r"call load_backbone\(\.\.\.\) first"):
        DenseFeatureExtractor("dense_sift")
    parts = (folder.taxonomy, folder.images)
    for shown in (backbone, extractor, folder, small, *parts, evaluation, evaluation.result):
        assert "\n" not in repr(shown)
        assert len(repr(shown)) < 250
    assert "<table>" in evaluation._repr_html_()


def test_lists_of_models_and_of_data(net: nn.Module, tmp_path: Path) -> None:
    first, second = subset(built_mini(), "soc,cc", pairs=2), subset(built_mini(), "soc", pairs=3)
    one, two = evaluate(net, [first, second], "soc", image_size=SIZE)
    assert [len(one.table), len(two.table)] == [len(r.predictions) for r in (one, two)]
    assert one.record.dataset["content_hash"] == first.content_hash != second.content_hash
    assert [found.record.metrics for found in evaluate([net], first, "soc", image_size=SIZE)] == [one.record.metrics]
    with pytest.raises(UsageError, match="would write"):
        evaluate([net, net], first, "soc", image_size=SIZE, run=RunConfig(out=tmp_path))


def test_what_is_written_follows_the_rule_of_the_command_line(
    data: FolderSubset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    module = nn.Conv2d(3, 4, 8, 8)
    run = RunConfig(out=tmp_path / "out")
    found = evaluate(module, data, "soc", image_size=SIZE, run=run)
    assert found.path == tmp_path / "out" / "Conv2d.size64.pairs12.json"
    evaluate(module, data, "soc", image_size=SIZE, run=run)
    assert "the result of the same run is replaced" in caplog.text
    with pytest.raises(UsageError, match=r"another run of Conv2d: the tasks soc, not cc.*overwrite=True"):
        evaluate(module, data, "cc", image_size=SIZE, run=run)
    with torch.no_grad():
        module.weight.mul_(-1)
    with pytest.raises(UsageError, match="weights"):
        evaluate(module, data, "soc", image_size=SIZE, run=run)
    other = evaluate(module, data, "cc", image_size=SIZE, run=replace(run, overwrite=True))
    with pytest.raises(UsageError, match="another run"):
        found.save(tmp_path / "out")
    loaded = Result.load(other.path)
    assert loaded.record == other.record
    assert loaded.table.equals(other.table)


def test_scores_as_tables_and_for_loggers(result: Result) -> None:
    frame = result.to_pandas()
    assert list(frame) == [
        "model",
        "data",
        "task",
        "level",
        "group",
        "reduction",
        "alpha",
        "pck",
        "low",
        "high",
        "n",
        "pairs",
    ]
    overall = frame.query("task == 'soc' and level == 'overall' and reduction == 'pair' and alpha == 0.1").iloc[0]
    stored = result.record.metrics["soc"]["pair"]["0.1"]["overall"]
    assert (overall.pck, overall.n, overall.pairs) == (stored["pck"], stored["keypoints"], stored["pairs"])
    assert [overall.low, overall.high] == result.record.intervals["tasks"]["soc"]["pair"]["0.1"]["overall"]
    assert not frame.duplicated(["task", "level", "group", "reduction", "alpha"]).any()
    flat = result.flat()
    assert flat["soco/soc/pck@0.1"] == stored["pck"]
    assert all(type(value) is float for value in flat.values())
    assert set(flat) < set(result.flat(groups=True))


def test_predictions_say_what_became_of_them(result: Result) -> None:
    frame = result.predictions
    for task in ("cc", "soc", "cross_soc"):
        own = frame[frame["task"] == task]
        counts = result.record.anatomy["tasks"][task]["overall"]["counts"]
        assert {kind: (own["kind"] == kind).sum() for kind in CLASSES} == counts
        assert own["hit"].sum() == counts["hit"]
    assert frame[frame["task"] == "soc_soft"]["kind"].isna().all()
    hits = frame[frame["task"] == "soc_soft"].groupby(["pair_group", "pair_id"])["hit"].mean()
    pck = result.record.metrics["soc_soft"]["pair"]["0.1"]["overall"]["pck"]
    assert hits.groupby("pair_group").mean().mean() == pytest.approx(pck, abs=1e-12)
    strict = prediction_errors(result, alpha=0.02)
    assert np.array_equal(strict["hit"].to_numpy(), strict["error"].to_numpy() < np.float32(0.02))
    assert result.table.schema.names == strict.schema.names[:-3]
    with pytest.raises(UsageError, match="got int"):
        prediction_errors(3)
    with pytest.raises(UsageError, match=r"Did you mean 0\.1"):
        result.errors(alpha=10)


def test_short_in_a_notebook_and_escaped(result: Result) -> None:
    named = replace_name(result, "<b>net</b>")
    assert (
        repr(named)
        == "<Result <b>net</b> on mini (subset): SOC PCK@0.1 " + f"{100 * result.flat()['soco/soc/pck@0.1']:.2f}%>"
    )
    html = named._repr_html_()
    assert "<b>net</b>" not in html
    assert "&lt;b&gt;net&lt;/b&gt;" in html
    assert html.count("<tr>") == 5
    lines = str(result).splitlines()
    assert lines[0].startswith("Sequential on mini (subset): PCK in percent")
    assert "not comparable with the paper" in lines[1]
    assert lines[1] in html  # the notebook shows what the terminal shows
    assert [line.split("  ")[0] for line in lines[3:]] == ["CC", "SOC", "Cross-SOC", "SOC soft"]
    assert {line.split()[-4] for line in lines[3:]} == {"-"}  # too few pairs for an interval
    assert result.split == "test"


@pytest.mark.parametrize(
    ("option", "said"), [({"run": "results"}, "RunConfig"), ({"scoring": {"alphas": [0.1]}}, "ScoringConfig")]
)
def test_options_of_another_kind_are_named(
    option: dict[str, Any], said: str, net: nn.Module, data: FolderSubset
) -> None:
    with pytest.raises(UsageError, match=rf"{next(iter(option))} must be a {said}, such as {said}\("):
        evaluate(net, data, "soc", image_size=SIZE, **option)


def replace_name(result: Result, name: str) -> Result:
    return Result(result.record.replace(model={**result.record.model, "name": name}), result.table)


def test_every_chart_takes_results(result: Result, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = Result(result.record, result.table, name="net").save(tmp_path)
    assert dir(result.plot) == [name.removeprefix("plot_") for name in plots.__all__]
    for name in set(plots.__all__) - {"plot_keypoints"}:  # that one is of a data set
        for given in (result, path) if name == "plot_pair" else (result, result.record, path, [str(path)], tmp_path):
            options = {"data": result.data} if name == "plot_pair" else {}
            assert getattr(plots, name)(given, **options)._repr_png_()[:4] == b"\x89PNG"
        if name not in ("plot_pair", "plot_drops"):  # the one has a prediction of its own there, the other all tasks
            assert getattr(result.plot, name.removeprefix("plot_"))("soc")
        assert getattr(result.plot, name.removeprefix("plot_"))()._repr_png_()
    assert plots.plot_anatomy([result, path], "soc").axes[0].get_yticklabels()[1].get_text().endswith("(2)")
    assert result.plot.pair(task="cross_soc", pair=1)
    with pytest.raises(UsageError, match="list of them; got int"):
        plots.plot_drops(3)
    with pytest.raises(AttributeError, match="Did you mean 'swaps'"):
        result.plot.swap()
    with pytest.raises(UsageError, match="has its own predictions"):
        result.plot.pair("soc")
    with pytest.raises(UsageError, match="no number 99"):
        result.plot.pair(pair=99)


def test_compare_and_report(result: Result, data: FolderSubset, tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    other = evaluate(nn.Conv2d(3, 4, 8, 8), data, "soc", image_size=SIZE, scoring=ScoringConfig())
    comparison = result.compare(other)
    frame = comparison.to_pandas()
    row = frame.query("level == 'overall' and reduction == 'pair' and alpha == 0.1").iloc[0]
    assert row.difference == row.b - row.a == other.flat()["soco/soc/pck@0.1"] - result.flat()["soco/soc/pck@0.1"]
    assert repr(comparison).startswith("<ResultComparison Conv2d - Sequential: SOC pair @0.1")
    assert "<table>" in comparison._repr_html_()
    page = result.report(tmp_path / "report", other)
    assert "DatasetFolder(" not in page.read_text(encoding="utf-8")  # the command on the page names the folder
    text = page.read_text(encoding="utf-8")
    assert page == tmp_path / "report" / "report.html"
    assert "Conv2d" in text
    assert "data:image/jpeg" in text  # pictures of the subset that was evaluated


def test_a_subset_is_small_even_and_the_same_everywhere(data: FolderSubset) -> None:
    assert {name: data.rows(name, "test") for name in ("cc", "soc", "cross_soc")} == dict.fromkeys(
        ("cc", "soc", "cross_soc"), 12
    )
    pairs = {name: set(data.table(name)["pair_id"].to_pylist()) for name in ("cc", "soc")}
    groups = data.table("soc")["pair_group"].to_pylist()
    assert len(set(groups)) == 12  # one of each category
    sources = [data.table(name)["source_image_id"].to_pylist() for name in ("cc", "soc")]
    assert sorted(sources[0]) == sorted(sources[1])
    assert len(pairs["soc"]) == 12
    again = pickle.loads(pickle.dumps(data))
    assert again.content_hash == data.content_hash
    assert (
        subset(built_mini(), "soc", pairs=12, seed=1).content_hash != subset(built_mini(), "soc", pairs=12).content_hash
    )
    few = subset(built_mini(), images=8)
    shown = {
        one
        for name in ("soc", "cross_soc")
        for side in ("source", "target")
        for one in few.table(name)[f"{side}_image_id"].to_pylist()
    }
    assert 2 <= len(shown) <= 8
    for options, text in (({}, "size of the subset"), ({"pairs": 0}, "at least 1"), ({"images": 1}, "at least 2")):
        with pytest.raises(UsageError, match=text):
            subset(built_mini(), **options)
    with pytest.raises(UsageError, match="split all"):
        evaluate_backbone(lambda images: images[:, :, ::8, ::8], data, "soc", split="all")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (lambda data: {"model": 3}, r"model must be a name.*got int"),
        (lambda data: {"model": []}, "list of models is empty"),
        (lambda data: {"model": "dense_sift", "data": 3}, "data must be a folder.*got int"),
        (lambda data: {"model": "dense_sift", "data": data, "tasks": "sco"}, "Did you mean 'soc'"),
        (lambda data: {"model": "dense_sift", "data": data, "image_size": 99, "features": FeatureConfig(50)}, "contradict"),
        (lambda data: {"model": "dense_sift", "data": data, "features": FeatureConfig(grid=3)}, "grid follow from the model"),
        (lambda data: {"model": load_backbone("dense_sift"), "data": data, "features": FeatureConfig(layer=3)}, "loaded already"),
    ],
)  # fmt: skip
def test_slips_are_named_before_any_work(arguments: Any, text: str, data: FolderSubset) -> None:
    with pytest.raises(UsageError, match=text):
        evaluate(**arguments(data))


def test_a_result_without_predictions_says_so(result: Result, tmp_path: Path) -> None:
    bare = Result(result.record)
    with pytest.raises(UsageError, match="has no predictions"):
        _ = bare.predictions
    with pytest.raises(PredictionsError, match="without its predictions"):
        bare.save(tmp_path)


@pytest.mark.parametrize(
    ("make", "argument", "option"),
    [
        (lambda: RunConfig(address="auto"), "address and cluster_workers", "--address and --ray-workers"),
        (lambda: CachePolicy("none", directory="x"), "directory requires kind", "--store-dir requires --store"),
        (lambda: check_grid(3, 42), "larger image_size", "larger --image-size"),
    ],
)
def test_errors_name_arguments_in_python_and_options_on_the_command_line(
    make: Callable[[], object], argument: str, option: str
) -> None:
    with pytest.raises(UsageError, match=argument) as told:
        make()
    assert "--" not in str(told.value)
    token = speaks_options.set(True)
    try:
        with pytest.raises(UsageError, match=option):
            make()
    finally:
        speaks_options.reset(token)


def test_paths_are_strings_or_paths_and_reprs_are_short(result: Result) -> None:
    assert (RunConfig(out="results").out, CachePolicy(directory="maps").directory) == (Path("results"), Path("maps"))
    for make in (lambda: RunConfig(out=3), lambda: CachePolicy(directory=3), lambda: result.compare(3)):
        with pytest.raises(UsageError, match=r"a path|path of a record"):
            make()
    evaluator = TrainingEvaluator("mini", "soc", every=2, pairs=4)
    for value in (evaluator, soco_datasets.SocoCallback(evaluator), *soco_datasets.CONFIGS.values(), result.plot):
        assert len(repr(value)) < 300
        assert " object at 0x" not in repr(value)


def test_public_names_are_documented_and_imported_lazily() -> None:
    for name in soco_datasets.__all__:
        value = getattr(soco_datasets, name)
        assert name in ("__version__", "CONFIGS") or value.__doc__, name
