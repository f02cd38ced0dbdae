"""SOCO for the Hugging Face ecosystem: the data, the metric and the evaluator.

`load_dataset` and `load_metric` load the data and the metric. Importing this package also makes
`datasets.load_dataset("soco", CONFIG)` and `evaluate.load("soco_pck")` work, from any folder; `unregister` undoes that.
The package imports neither library, nor torch; public names load when they are used.

Reading order: `data/schema.py` (the tables), `benchmarks/build.py` (a release to a folder), `data/folder.py` (a folder
back), `data/pairs.py` (which pairs exist), `loading/splits.py` (what `load_dataset` gives), `geometry.py` (frames),
`metrics/pck.py` (the metric), `correspondence/evaluate.py` (the evaluator), `loading/registration.py` (how names
resolve).
"""

from __future__ import annotations

import importlib
from typing import Any

from .loading.registration import register, unregister

__version__ = "0.2.0"

_PUBLIC = {
    "SocoError": "errors",
    "CONFIGS": "data.schema",
    "build_dataset": "benchmarks.build",
    "DatasetFolder": "data.folder",
    "open_folder": "data.folder",
    "resolve_data": "benchmarks.resolve",
    "load_dataset": "loading.load",
    "load_metric": "loading.load",
    "expand_pairs": "loading.dataset",
    "PairIndex": "data.pairs",
    "pair_queries": "data.queries",
    "Taxonomy": "data.taxonomy",
    "load_backbone": "features.backbones",
    "Protocol": "config",
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
