"""Train and test a linear probe: each image forwarded once; both variants of epoch selection."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ..config import RunConfig, ScoringConfig
from ..errors import SocoError, UsageError
from ..features.cache.memory import MemoryFeatureCache
from ..features.extractor import DenseFeatureExtractor
from ..features.families.base import Backbone
from ..features.heads import Head, save_head
from ..features.linear_probe import (
    ProbeEpoch,
    ProbeRecipe,
    initial_layer,
    steps_of,
    train_probe,
)
from ..features.loader import FeatureLoader
from ..records.evaluation import library_versions
from ..records.probe import ProbeRecord
from ..records.replacement import settled_stem
from ..records.result_files import result_name
from ..utils.files import atomic_files, sha256_file
from ..utils.paths import local_path
from .engines import RemoteExtractor
from .evaluate import dataset_provenance, protocol_of, supercategories_of
from .probe_pairs import (
    CC,
    SOC,
    VARIANTS,
    HeldOut,
    ProbeData,
    ProbeSplit,
    training_pairs,
)
from .probe_scores import (
    Errors,
    ProbeFeatures,
    SplitScorer,
    pooled_pck,
    select,
    selection_score,
)


@dataclass(frozen=True, eq=False)
class ProbeRun:
    """The results of training.

    Attributes:
        record: see `ProbeRecord`.
        heads: variant -> the layer of its selected epoch, as a head of the backbone.
        epochs: variant -> every epoch, with its layer and the order of its pairs.
        backbone: the backbone the heads are for.
    """

    record: ProbeRecord
    heads: Mapping[str, Head]
    epochs: Mapping[str, tuple[ProbeEpoch, ...]]
    backbone: Backbone


def run_probe(
    extractor: DenseFeatureExtractor,
    data: ProbeData,
    recipe: ProbeRecipe | None = None,
    *,
    scoring: ScoringConfig = ScoringConfig(),
    run: RunConfig = RunConfig(),
    remote: RemoteExtractor | None = None,
) -> ProbeRun:
    """Train a linear probe on the raw features of a backbone and score it on the test split.

    The variant "reference" trains on the whole train split and selects the epoch by its score on the test split, as the
    reference does. "heldout" trains on the pairs of the images that are not held out, selects by the pairs of those
    that are, and scores on the test split once, with the selected layer.

    Args:
        extractor: gives the features, unless others do; trains and scores on its device.
        data: from `probe_data.read_probe_data`.
        recipe: the reference's by default.
        scoring: convention of queries, labels and predictions, and the thresholds of the metrics; the epoch is selected
            at `recipe.alpha` whatever these are.
        run: `cache.memory_budget` is the memory of the feature maps, beyond it they go to a temporary file; `workers`.
        remote: the same model on a cluster, which makes the feature maps; they come to this process, which trains.

    Raises:
        DatasetFolderError: an image does not decode.
        ChangedDataError: what is read is not what was built.
        BackboneError: the model gives features that are not finite or of the wrong shape.
        SocoError: the loss becomes NaN or infinite, or the features fit neither memory nor disk; or the model on the
            cluster is another one.
        UsageError: a valid area, which a probe does not have; the normalizer "mask".
    """
    recipe = ProbeRecipe() if recipe is None else recipe
    data.folder.check_intact()
    model = extractor.describe()
    if scoring.valid_area:
        raise UsageError("A probe is scored over all cells: it has no valid area.")
    protocol = protocol_of(model, scoring)
    image_ids = data.image_ids()
    shape = (len(image_ids), extractor.channels, extractor.grid, extractor.grid)
    with MemoryFeatureCache(
        shape[0], shape[1:], memory_budget=run.cache.memory_budget, dtype=extractor.backbone.dtype
    ) as store:
        counts = {"decodes": 0, "forwards": 0}
        if remote is None:
            maps = FeatureLoader(extractor, data.folder.images, image_ids, run.workers, counts)(range(len(image_ids)))
        else:
            _check_same_model(model, remote.describe())
            maps = remote.raw_maps(data.folder, protocol, run, image_ids, counts)
        for position, feature_map in maps:
            store.put(position, feature_map)
        rows = np.array([data.folder.images.row(name) for name in image_ids], dtype=np.int64)
        features = ProbeFeatures(extractor, store, rows, data.folder, protocol, supercategories_of(data.folder))
        test = SplitScorer(data.test, features)
        identity = Head(layers=(initial_layer(extractor.channels),))
        before = test.metrics(test.errors(identity))
        trained = {name: _train_variant(name, data, features, test, recipe) for name in data.variants}
    record = ProbeRecord(
        model=model,
        dataset=_provenance(data),
        protocol=protocol,
        recipe=recipe,
        versions=library_versions(),
        device=model["device"],
        counts={"images": len(image_ids), **counts, **_counts(data)},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        before={"test": before},
        variants={name: _result(variant, data, recipe) for name, variant in trained.items()},
    )
    heads = {name: _described(variant.head, name, record) for name, variant in trained.items()}
    epochs = {name: variant.epochs for name, variant in trained.items()}
    return ProbeRun(record, heads, epochs, extractor.backbone)


def _check_same_model(here: Mapping[str, Any], there: Mapping[str, Any]) -> None:
    for name in sorted({*here, *there}):
        if here.get(name) != there.get(name):
            raise SocoError(
                f"The probe is trained where the command runs, whose model differs from the cluster's: {name} is "
                f"{here.get(name)!r} here, {there.get(name)!r} there. Run the command on a machine like the cluster's."
            )


def _provenance(data: ProbeData) -> dict[str, Any]:
    """Of the dataset; of a benchmark other than SOCO with the hashes of both pair lists."""
    found = dataset_provenance(data.folder)
    if "benchmark" in found:
        names, hashes = ("soc/trn", "soc/test"), data.folder.manifest["pair_lists"]
        found["pair_lists"] = {name: hashes[name] for name in names if name in hashes}
    return found


def _counts(data: ProbeData) -> dict[str, int]:
    """Of pairs: for training, for the test and, where there are any, in both."""
    known = set(data.test.pair_keys())
    both = sum(key in known for key in data.train.pair_keys())
    counts = {"train_pairs": len(data.train), "test_pairs": len(data.test)}
    return counts | ({"train_pairs_in_test": both} if both else {})


def write_probe(
    out: str | Path, run: ProbeRun, name: str | None = None, *, overwrite: bool = False, checked: bool = False
) -> tuple[Path, dict[str, Path]]:
    """Write the heads and then the record into a folder, named after the model.

    Args:
        out: the folder, made where it is missing.
        run: from `run_probe`.
        name: of the files in place of the model's, see `result_files.result_name`.
        overwrite: replace whatever has the name; else only a probe of the very same run is replaced, and logged.
        checked: the name was looked at before the work, see `replacement.settled_stem`.

    Returns:
        (`<name>.probe.json`, {variant: `<name>.probe-<variant>.safetensors`}); the latter are heads for
        `soco evaluate --head`.

    Raises:
        UsageError: a probe of another run has the name.
        SocoError: the folder cannot be written.
    """
    folder, wanted, variants = local_path(out), name or result_name(run.record.model), {}
    with settled_stem(run.record, folder, wanted, ".probe.json", overwrite=overwrite, checked=checked) as stem:
        paths = {variant: folder / f"{stem}.probe-{variant}.safetensors" for variant in run.heads}
        path = folder / f"{stem}.probe.json"
        with atomic_files(path, *paths.values()) as (new_record, *new_heads):
            for (variant, head), new_head in zip(run.heads.items(), new_heads, strict=True):
                save_head(new_head, head, run.backbone)
                written = {"file": paths[variant].name, "sha256": sha256_file(new_head)}
                variants[variant] = {**run.record.variants[variant], "head": written}
            run.record.replace(variants=variants).write(new_record)
    return path, paths


@dataclass(frozen=True, eq=False)
class _Trained:
    """One variant: what it was trained on and selected by, and what came of it."""

    name: str
    train: ProbeSplit
    selection: ProbeSplit
    held: HeldOut | None
    epochs: tuple[ProbeEpoch, ...]
    judged: tuple[Errors, ...]  # of each epoch, on the selection pairs
    scores: tuple[float | None, ...]
    metrics: dict[str, Any]

    @property
    def selected(self) -> int:
        return select(self.scores)

    @property
    def head(self) -> Head:
        return _head(self.epochs[self.selected - 1])


def _train_variant(
    name: str, data: ProbeData, features: ProbeFeatures, test: SplitScorer, recipe: ProbeRecipe
) -> _Trained:
    held = data.held_out if name == "heldout" else None
    train, selection = (data.train, data.test) if held is None else (held.train, held.selection)
    judge = test if held is None else SplitScorer(selection, features)
    extractor = features.extractor
    pairs = training_pairs(
        train,
        {image: position for position, image in enumerate(data.image_ids())},
        grid=extractor.grid,
        size=extractor.size,
        convention=features.protocol.scoring.convention,
    )
    epochs, judged = [], []
    for epoch in train_probe(
        features.store, pairs, extractor.channels, recipe, device=extractor.backbone.device, what=name
    ):
        epochs.append(epoch)
        judged.append(judge.errors(_head(epoch)))
    scores = tuple(selection_score(errors, recipe.alpha) for errors in judged)
    selected = select(scores) - 1
    head = _head(epochs[selected])
    seen = SplitScorer(train, features)
    metrics = {"train": seen.metrics(seen.errors(head))}
    if held is not None:
        metrics["selection"] = judge.metrics(judged[selected])
    metrics["test"] = test.metrics(judged[selected] if held is None else test.errors(head))
    return _Trained(name, train, selection, held, tuple(epochs), tuple(judged), scores, metrics)


def _result(trained: _Trained, data: ProbeData, recipe: ProbeRecipe) -> dict[str, Any]:
    """Its part of the record."""
    held = trained.held
    size, drop_last = steps_of(recipe, len(trained.train))
    holdout = None
    if held is not None:
        holdout = {"fraction": data.fraction, "seed": data.seed, "image_ids": list(held.images)}
    return {
        "title": VARIANTS[trained.name],
        "selected_on": "test" if held is None else "held-out train images",
        "selected_epoch": trained.selected,
        "epochs": [
            _epoch(epoch, score, errors, recipe.alpha)
            for epoch, score, errors in zip(trained.epochs, trained.scores, trained.judged, strict=True)
        ],
        "batch_size": size,
        "drop_last": drop_last,
        "pairs": {
            "train": len(trained.train),
            "train_without_query": trained.train.without_query,
            "selection": len(trained.selection),
            "left_out": 0 if held is None else held.left_out,
        },
        "images": _images(trained.train, trained.selection, data.test),
        "holdout": holdout,
        "metrics": trained.metrics,
        "head": None,
    }


def _head(epoch: ProbeEpoch) -> Head:
    return Head(layers=((epoch.weight, epoch.bias),))


def _epoch(epoch: ProbeEpoch, score: float | None, errors: Errors, alpha: float) -> dict[str, Any]:
    return {
        "number": epoch.number,
        "learning_rate": epoch.learning_rate,
        "loss": epoch.loss,
        "batch_losses": list(epoch.batch_losses),
        "selection": {
            "score": score,
            "soc": pooled_pck(errors[SOC.name], alpha),
            "cc": pooled_pck(errors[CC.name], alpha),
        },
    }


def _images(train: ProbeSplit, selection: ProbeSplit, test: ProbeSplit) -> dict[str, int]:
    """How many images each part shows, and how many of them the test split shows too."""
    shown = {"train": train.image_ids(), "selection": selection.image_ids()}
    tested = test.image_ids()
    return {
        **{name: len(images) for name, images in shown.items()},
        **{f"{name}_also_in_test": len(images & tested) for name, images in shown.items()},
    }


def _described(head: Head, variant: str, record: ProbeRecord) -> Head:
    """The head with what its file should say of its training."""
    result = record.variants[variant]
    pairs = f"{result['pairs']['train']} train pairs of {SOC.config}"
    texts = {
        "trained_on": f"{record.dataset['id']}, {pairs}, cross-entropy over the cells of the target",
        "dataset_content_hash": str(record.dataset["content_hash"]),
        "probe": result["title"],
        "epoch": str(result["selected_epoch"]),
        "recipe": json.dumps(dataclasses.asdict(record.recipe), sort_keys=True),
        "convention": record.protocol.scoring.convention,
        "image_size": str(record.protocol.features.image_size),
    }
    return dataclasses.replace(head, metadata=texts, name=f"probe-{variant}")
