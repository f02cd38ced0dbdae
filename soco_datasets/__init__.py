"""SOCO for the Hugging Face ecosystem: the data, the metric and the evaluator.

`evaluate` takes a model to its `Result`; `load_dataset` and `load_metric` load the data and the metric;
docs/reference/api.md shows all public names. Importing this package also makes
`datasets.load_dataset("soco", CONFIG)` and `evaluate.load("soco_pck")` work, from any folder; `unregister` undoes that.
The package imports neither library, nor torch; public names load when they are used.

Reading order: `data/schema.py` (the tables), `benchmarks/build.py` (a release to a folder), `data/folder.py` (a folder
back), `data/pairs.py` (which pairs exist), `loading/splits.py` (what `load_dataset` gives), `geometry.py` (frames),
`metrics/pck.py` (the metric), `correspondence/evaluate.py` (the evaluator), `loading/registration.py` (how names
resolve).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .loading.registration import register, unregister

if TYPE_CHECKING:
    from .api.during_training import TrainingEvaluator as TrainingEvaluator
    from .api.evaluate_model import evaluate as evaluate
    from .api.evaluate_model import subset as subset
    from .api.result import Result as Result
    from .api.result_comparison import ResultComparison as ResultComparison
    from .api.trainer_callback import SocoCallback as SocoCallback
    from .benchmarks.build import build_dataset as build_dataset
    from .benchmarks.resolve import dataset_folder as dataset_folder
    from .benchmarks.resolve import resolve_data as resolve_data
    from .config import (
        CachePolicy as CachePolicy,
    )
    from .config import (
        FeatureConfig as FeatureConfig,
    )
    from .config import (
        Protocol as Protocol,
    )
    from .config import (
        RunConfig as RunConfig,
    )
    from .config import (
        ScoringConfig as ScoringConfig,
    )
    from .correspondence.evaluate import evaluate_backbone as evaluate_backbone
    from .data.folder import DatasetFolder as DatasetFolder
    from .data.folder import open_folder as open_folder
    from .data.pairs import PairIndex as PairIndex
    from .data.queries import pair_queries as pair_queries
    from .data.schema import CONFIGS as CONFIGS
    from .data.taxonomy import Taxonomy as Taxonomy
    from .errors import SocoError as SocoError
    from .features.backbones import load_backbone as load_backbone
    from .features.extractor import DenseFeatureExtractor as DenseFeatureExtractor
    from .loading.dataset import expand_pairs as expand_pairs
    from .loading.load import load_dataset as load_dataset
    from .loading.load import load_metric as load_metric
    from .records.prediction_errors import prediction_errors as prediction_errors

__version__ = "0.2.0"

_PUBLIC = {
    "evaluate": "api.evaluate_model",
    "subset": "api.evaluate_model",
    "Result": "api.result",
    "ResultComparison": "api.result_comparison",
    "TrainingEvaluator": "api.during_training",
    "SocoCallback": "api.trainer_callback",
    "prediction_errors": "records.prediction_errors",
    "SocoError": "errors",
    "CONFIGS": "data.schema",
    "build_dataset": "benchmarks.build",
    "DatasetFolder": "data.folder",
    "open_folder": "data.folder",
    "dataset_folder": "benchmarks.resolve",
    "resolve_data": "benchmarks.resolve",
    "load_dataset": "loading.load",
    "load_metric": "loading.load",
    "expand_pairs": "loading.dataset",
    "PairIndex": "data.pairs",
    "pair_queries": "data.queries",
    "Taxonomy": "data.taxonomy",
    "load_backbone": "features.backbones",
    "DenseFeatureExtractor": "features.extractor",
    "Protocol": "config",
    "FeatureConfig": "config",
    "ScoringConfig": "config",
    "RunConfig": "config",
    "CachePolicy": "config",
    "evaluate_backbone": "correspondence.evaluate",
}

__all__ = ["__version__", "register", "unregister", *sorted(_PUBLIC)]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})


register()
