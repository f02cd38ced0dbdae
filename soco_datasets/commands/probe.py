"""`soco probe`: a linear probe on a frozen backbone (SOC linear)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer
from typer import Option

from . import EVALUATE
from .common import DataOption, OutputOptions, numbers, open_dataset
from .engine_options import EngineOptions, open_extractor
from .model_options import BackboneOptions
from .options import command

if TYPE_CHECKING:
    from ..config import ScoringConfig
    from ..correspondence.engines import Extractor, RemoteExtractor
    from ..correspondence.probe_pairs import ProbeData
    from ..correspondence.probe_training import ProbeRun
    from ..features.extractor import DenseFeatureExtractor
    from ..features.linear_probe import ProbeRecipe
    from ..records.probe import ProbeRecord

_OVERLAP = "train pairs that are test pairs too: refuse, drop or keep them"


def add(app: typer.Typer) -> None:
    """Add the command."""
    example = "soco probe --model facebook/dinov2-base --data soco --out results"
    command(app, run, "probe", "train and test a linear probe on frozen features (SOC linear)", example, EVALUATE)


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How the probe is trained, selected and scored."""

    PANEL: ClassVar[str] = "Protocol"

    variants: Annotated[str, Option(metavar="NAME,NAME", help="how the epoch is selected")] = "reference,heldout"
    holdout: Annotated[float, Option(help="fraction of the train images that heldout holds out")] = 0.25
    holdout_seed: Annotated[int, Option(help="random seed of that choice")] = 0
    overlap: Annotated[str | None, Option(metavar="ACTION", help=_OVERLAP, show_default="refuse; keep for SOCO")] = None
    epochs: Annotated[int, Option(help="passes over the train pairs")] = 4
    train_batch: Annotated[int, Option(help="pairs per step")] = 32
    learning_rate: Annotated[float, Option(help="initial learning rate of Adam")] = 1e-3
    seed: Annotated[int, Option(help="pair order seed")] = 8
    convention: Annotated[str, Option(metavar="NAME", help="reference or centered")] = "reference"
    alphas: Annotated[str, Option(metavar="X,X,...", help="PCK thresholds")] = "0.1,0.05,0.02"


def run(
    model: BackboneOptions,
    training: TrainingOptions,
    engine: EngineOptions,
    output: OutputOptions,
    data: DataOption = None,
) -> None:
    """Train and test a probe."""
    from ..config import CachePolicy, FeatureConfig, ScoringConfig
    from ..correspondence.probe_pairs import read_probe_data
    from ..correspondence.probe_training import run_probe
    from ..features.linear_probe import ProbeRecipe
    from ..records.result_files import qualifiers_of

    recipe = ProbeRecipe(
        epochs=training.epochs,
        batch_size=training.train_batch,
        learning_rate=training.learning_rate,
        seed=training.seed,
    )
    scoring = ScoringConfig(training.convention, numbers("--alphas", training.alphas))  # type: ignore[arg-type]
    how = engine.config(cache=CachePolicy(memory_budget=model.budget()), workers=model.workers)
    folder = open_dataset(data)
    variants = training.variants.split(",")
    pairs = read_probe_data(folder, variants, training.holdout, training.holdout_seed, training.overlap)
    qualifiers = [*model.qualifiers(), *qualifiers_of(FeatureConfig(), scoring)]
    with open_extractor(model.spec(), how) as extractor:
        name = check_probe(qualifiers, output, extractor.describe(), pairs, scoring, recipe)
        local, remote = both_places(extractor, model)
        trained = run_probe(local, pairs, recipe, scoring=scoring, run=how, remote=remote)
        print(written_probe(trained, output, name))


def both_places(extractor: Extractor, model: BackboneOptions) -> tuple[DenseFeatureExtractor, RemoteExtractor | None]:
    """The model in this process, which trains, and the one on the cluster, where that makes the features."""
    from ..features.extractor import DenseFeatureExtractor

    return (extractor, None) if isinstance(extractor, DenseFeatureExtractor) else (model.load(), extractor)


def check_probe(
    qualifiers: Sequence[str],
    output: OutputOptions,
    model: Mapping[str, Any],
    data: ProbeData,
    scoring: ScoringConfig,
    recipe: ProbeRecipe | None = None,
) -> str:
    """The stem of a probe's files. Raises `UsageError` where a probe of another run has the name."""
    from ..correspondence.evaluate import protocol_of
    from ..features.linear_probe import ProbeRecipe
    from ..records.probe import ProbeRecord
    from ..records.replacement import PlannedRun, check_replaces_own
    from ..records.result_files import result_name

    name = result_name(model, *qualifiers)
    planned = PlannedRun(
        model,
        protocol_of(model, scoring),
        data.folder.content_hash,
        data.variants,
        recipe=asdict(recipe or ProbeRecipe()),
    )
    check_replaces_own(output.out / f"{name}.probe.json", ProbeRecord, planned, overwrite=output.overwrite)
    return name


def written_probe(trained: ProbeRun, output: OutputOptions, name: str | None) -> str:
    """Write a trained probe as `name`, which `check_probe` has checked, and return its table and files as text."""
    from ..correspondence.probe_training import write_probe

    checked = name is not None
    record, heads = write_probe(output.out, trained, name, overwrite=output.overwrite, checked=checked)
    files = [f"record  {record}", *(f"head    {path}" for path in heads.values())]
    return "\n".join([format_probe(trained.record), "", *files])


def format_probe(record: ProbeRecord) -> str:
    """The scores on the test split as a table for the terminal, and what selected each epoch below it."""
    from ..config import alpha_key
    from ..utils.text_table import format_percent

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
            soc, cc = (format_percent(epoch["selection"][task]) for task in ("soc", "cc"))
            mark = "  selected" if epoch["number"] == result["selected_epoch"] else ""
            lines.append(f"  epoch {epoch['number']}: loss {loss}, SOC {soc}, CC {cc}{mark}")
    return "\n".join(lines)


def _scores(metrics: dict[str, Any], alpha: str) -> str:
    from ..utils.text_table import format_percent

    tasks = ("soc_probe", "cc_probe")
    by_category = [format_percent(metrics[task]["keypoint"][alpha]["overall"]["pck"]) for task in tasks]
    pooled = [format_percent(metrics[task]["pooled"][alpha]["pck"]) for task in tasks]
    return f"{by_category[0]:>8}{by_category[1]:>8}{pooled[0]:>12}{pooled[1]:>11}"
