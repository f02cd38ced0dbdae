"""`soco probe`: a linear probe on a frozen backbone (SOC linear)."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..utils.files import check_writable
from ..utils.paths import local_path
from .common import Commands, command, numbers
from .model_options import add_model_options, add_overwrite, load_extractor, memory_budget, qualifiers

if TYPE_CHECKING:
    from ..config import RunConfig, ScoringConfig
    from ..correspondence.probe_pairs import ProbeData
    from ..features.extractor import DenseFeatureExtractor
    from ..features.linear_probe import ProbeRecipe
    from ..records.probe import ProbeRecord

_VARIANTS = "reference,heldout"
_OVERLAP = "train pairs that are test pairs too: refuse (default, but for SOCO), drop them, or keep them"


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    example = "soco probe --model facebook/dinov2-base --data soco-data --out results"
    parser = command(commands, "probe", "train and test a linear probe on frozen features (SOC linear)", example)
    add_model_options(parser)
    parser.add_argument("--data", help="a built folder, or mini (default: where load_dataset looks)")
    parser.add_argument("--variants", default=_VARIANTS, help=f"how the epoch is selected (default {_VARIANTS})")
    parser.add_argument("--holdout", type=float, default=0.25, help="part of the train images that heldout holds out")
    parser.add_argument("--holdout-seed", type=int, default=0, help="which images those are (default 0)")
    parser.add_argument("--overlap", help=_OVERLAP)
    parser.add_argument("--epochs", type=int, default=4, help="passes over the train pairs (default 4)")
    parser.add_argument("--train-batch", type=int, default=32, help="pairs per step (default 32)")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="of Adam at the start (default 0.001)")
    parser.add_argument("--seed", type=int, default=8, help="of the order of the pairs (default 8)")
    parser.add_argument("--convention", default="reference", help="reference (default) or centered")
    parser.add_argument("--alphas", default="0.1,0.05,0.02", help="PCK thresholds (default 0.1,0.05,0.02)")
    parser.add_argument("--out", type=local_path, default=Path("results"), help="folder for the record and the heads")
    add_overwrite(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run it."""
    from ..benchmarks.resolve import resolve_data
    from ..config import CachePolicy, RunConfig, ScoringConfig
    from ..correspondence.probe_pairs import read_probe_data
    from ..data.folder import open_folder
    from ..features.linear_probe import ProbeRecipe

    recipe = ProbeRecipe(
        epochs=arguments.epochs,
        batch_size=arguments.train_batch,
        learning_rate=arguments.learning_rate,
        seed=arguments.seed,
    )
    scoring = ScoringConfig(arguments.convention, numbers("--alphas", arguments.alphas))
    check_writable(arguments.out)
    how = RunConfig(CachePolicy(memory_budget=memory_budget(arguments)), arguments.workers)
    folder = open_folder(resolve_data(arguments.data))
    variants = arguments.variants.split(",")
    data = read_probe_data(folder, variants, arguments.holdout, arguments.holdout_seed, arguments.overlap)
    extractor = load_extractor(arguments)
    name = check_probe(arguments, extractor.describe(), scoring, data, recipe)
    print(trained_probe(extractor, data, arguments.out, recipe, scoring=scoring, run=how, name=name))


def check_probe(
    arguments: argparse.Namespace,
    model: Mapping[str, Any],
    scoring: ScoringConfig,
    data: ProbeData,
    recipe: ProbeRecipe | None = None,
) -> str:
    """The stem of a probe's files. Raises `UsageError` where a probe of another run has the name."""
    from ..correspondence.evaluate import protocol_of
    from ..features.linear_probe import ProbeRecipe
    from ..records.probe import ProbeRecord
    from ..records.result_files import PlannedRun, check_replaces_own, result_name

    name = result_name(model, *qualifiers(arguments))
    planned = PlannedRun(
        model,
        protocol_of(model, scoring),
        data.folder.content_hash,
        data.variants,
        recipe=asdict(recipe or ProbeRecipe()),
    )
    check_replaces_own(arguments.out / f"{name}.probe.json", ProbeRecord, planned, overwrite=arguments.overwrite)
    return name


def trained_probe(
    extractor: DenseFeatureExtractor,
    data: ProbeData,
    out: Path,
    recipe: ProbeRecipe | None = None,
    *,
    scoring: ScoringConfig,
    run: RunConfig,
    name: str | None = None,
) -> str:
    """Train a probe, write it as `name` and return its table and files as text. Arguments as of `run_probe`."""
    from ..correspondence.probe_training import run_probe, write_probe

    trained = run_probe(extractor, data, recipe, scoring=scoring, run=run)
    record, heads = write_probe(out, trained, name, overwrite=name is not None)  # a name was checked by `check_probe`
    files = [f"record  {record}", *(f"head    {path}" for path in heads.values())]
    return "\n".join([format_probe(trained.record), "", *files])


def format_probe(record: ProbeRecord) -> str:
    """The scores on the test split as a table for the terminal, and what selected each epoch below it."""
    from ..config import alpha_key

    alpha = alpha_key(
        record.recipe.alpha
        if record.recipe.alpha in record.protocol.scoring.alphas
        else record.protocol.scoring.alphas[0]
    )
    config = "soc" if "benchmark" in record.dataset else "soc_probe"
    lines = [
        f"{record.model['name']} on {record.dataset['id']}, test split of {config}, PCK@{alpha}",
        "",
        f"{'':44}{'epoch':>6}{'SOC':>8}{'CC':>8}{'SOC pooled':>12}{'CC pooled':>11}",
        f"{'before training':44}{'-':>6}{_scores(record.before['test'], alpha)}",
    ]
    for result in record.variants.values():
        scores = _scores(result["metrics"]["test"], alpha)
        lines.append(f"{result['title']:44}{result['selected_epoch']:>6}{scores}")
    lines += ["", "SOC, CC: mean over categories; pooled: over all keypoints, what selects the epoch."]
    for name, result in record.variants.items():
        pairs, images = result["pairs"], result["images"]
        left_out = f", {pairs['left_out']} pairs used for neither" if pairs["left_out"] else ""
        lines.append(
            f"{name}: {pairs['train']} train pairs in batches of {result['batch_size']}, selected by "
            f"{pairs['selection']} pairs ({images['selection_also_in_test']} of their {images['selection']} images are "
            f"in the test split){left_out}."
        )
        for epoch in result["epochs"]:
            loss = "-" if epoch["loss"] is None else f"{epoch['loss']:.4f}"
            soc, cc = (_percent(epoch["selection"][task]) for task in ("soc", "cc"))
            mark = "  selected" if epoch["number"] == result["selected_epoch"] else ""
            lines.append(f"  epoch {epoch['number']}: loss {loss}, SOC {soc}, CC {cc}{mark}")
    return "\n".join(lines)


def _scores(metrics: dict[str, Any], alpha: str) -> str:
    tasks = ("soc_probe", "cc_probe")
    by_category = [_percent(metrics[task]["keypoint"][alpha]["overall"]["pck"]) for task in tasks]
    pooled = [_percent(metrics[task]["pooled"][alpha]["pck"]) for task in tasks]
    return f"{by_category[0]:>8}{by_category[1]:>8}{pooled[0]:>12}{pooled[1]:>11}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"
