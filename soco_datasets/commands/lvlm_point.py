"""`soco lvlm point` and `soco lvlm point-baseline`: coordinates instead of letters, scored by PCK."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..utils.paths import local_path
from .common import Commands, command
from .lvlm_run import add_run_options
from .model_options import add_model_options, load_extractor

if TYPE_CHECKING:
    from ..correspondence.evaluate import Evaluation


def add(commands: Commands) -> None:
    """Add the commands to the parser of `soco lvlm`."""
    example = "soco lvlm point --model Qwen/Qwen2.5-VL-7B-Instruct --data DIR --setting vis --out answers/"
    parser = command(commands, "point", "ask for the corresponding point as coordinates, and score it by PCK", example)
    add_run_options(parser)
    parser.add_argument("--marker", default="arrow", help="arrow (default), circle, cross or square")
    parser.add_argument("--marker-color", default="red", help="red (default), blue, yellow, purple or green")
    parser.add_argument("--frame", help="pixels, resized, thousandths, percent or unit (default: the model family's)")
    parser.add_argument("--calibration", type=int, help="pictures of a dot that check the frame (default 16; 0 = none)")
    parser.set_defaults(run=run)
    example = "soco lvlm point-baseline --model dinov2_b14 --data DIR --out results/"
    parser = command(commands, "point-baseline", "evaluate a vision backbone on the same pairs", example)
    add_model_options(parser)
    parser.add_argument("--data", help="dataset folder or 'mini' (default: as load_dataset('soco') finds it)")
    parser.add_argument("--setting", default="vis", help="whose task names the result gets (default vis)")
    parser.add_argument("--out", type=local_path, required=True, help="folder for the record and its predictions")
    parser.set_defaults(run=run_point_baseline)


def run(arguments: argparse.Namespace) -> None:
    """Ask a model to point."""
    from ..benchmarks.resolve import resolve_data
    from ..data.folder import open_folder
    from ..data.questions.markers import MarkerStyle
    from ..errors import UsageError
    from ..lvlm.point_run import CALIBRATION_DOTS, PointOptions, run_pointing
    from ..lvlm.question_rows import stored_settings
    from ..lvlm.subsets import SubsetOptions
    from .lvlm_run import asking_options

    if arguments.protocol is not None or arguments.template is not None:
        raise UsageError("Pointing has prompts of its own; leave out --protocol and --template.")
    folder = open_folder(resolve_data(arguments.data))
    named = [part.strip() for part in (arguments.setting or "").split(",") if part.strip()]
    model, asking = asking_options(arguments)
    options = PointOptions(
        settings=tuple(dict.fromkeys(named or stored_settings(folder))),
        subset=SubsetOptions.from_texts(arguments.category, arguments.per_category, arguments.seed, arguments.limit),
        frame=arguments.frame,
        dots=CALIBRATION_DOTS if arguments.calibration is None else arguments.calibration,
        style=MarkerStyle(arguments.marker, arguments.marker_color),
    )
    found = run_pointing(folder, model, arguments.out, asking, options)
    counts = found.evaluation.result.counts
    if found.calibration is not None:
        hits = found.calibration["hits"][found.frame]
        print(f"frame {found.frame}: {hits} of {found.calibration['dots']} dots found")
    print(f"answers without a point: {counts['parse_failures']} of {counts['keypoints']}")
    _write(found.folder, found.evaluation)


def run_point_baseline(arguments: argparse.Namespace) -> None:
    """Evaluate a backbone."""
    from ..benchmarks.resolve import resolve_data
    from ..data.folder import open_folder
    from ..lvlm.pointing import evaluate_backbone_on_points

    folder = open_folder(resolve_data(arguments.data))
    settings = tuple(part.strip() for part in arguments.setting.split(",") if part.strip())
    _write(arguments.out, evaluate_backbone_on_points(load_extractor(arguments), folder, settings))


def _write(out: Path, evaluation: Evaluation) -> None:
    from ..records.evaluation import write_evaluation

    for task, reductions in evaluation.result.metrics.items():
        shown = ", ".join(
            f"PCK@{alpha} {100 * part['overall']['pck']:.1f}"
            for alpha, part in reductions["pair"].items()
            if part["overall"]["pck"] is not None
        )
        print(f"{task}: {shown}")
    for path in write_evaluation(out, evaluation.predictions, evaluation.result):
        print(path)
