"""SOCO for the Hugging Face ecosystem: the data, the metric and the evaluator.

Importing this package makes `datasets.load_dataset("soco", CONFIG)` and `evaluate.load("soco_pck")` work from any
folder. It imports neither of them, nor torch; public names load when they are used.

Reading order: `data/schema.py` (the tables), `data/build.py` (a release to a folder), `data/folder.py` (a folder back),
`data/pairs.py` (which pairs exist), `data/joined.py` (what `load_dataset` gives), `features/geometry.py` (every frame),
`correspondence/pck.py` (the metric), `correspondence/runner.py` (the one loop), `registration.py` (how names resolve).
"""

from __future__ import annotations

import importlib
from typing import Any

from .loading.registration import register

__version__ = "0.1.0"

_PUBLIC = {
    "SocoError": "errors",
    "CONFIGS": "data.schema",
    "build_dataset": "benchmarks.build",
    "DatasetFolder": "data.folder",
    "open_folder": "data.folder",
    "resolve_data": "benchmarks.resolve",
    "expand_pairs": "loading.splits",
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

__all__ = ["__version__", "register", *sorted(_PUBLIC)]


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
