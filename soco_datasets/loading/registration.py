"""Makes `load_dataset("soco", ...)` and `evaluate.load("soco_pck")` resolve, from any folder and without the Hub.

Both libraries find a module through one function each, `datasets.load.dataset_module_factory` and
`evaluate.loading.evaluation_module_factory`; `register` wraps them for our two names and leaves every other call
alone. Neither library is imported for it (`evaluate` imports torch and transformers, which takes seconds): one that is
not there yet is patched at the end of its own import.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.abc
import importlib.util
import inspect
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

DATASET = "soco"
METRIC = "soco_pck"
_PACKAGE = Path(__file__).resolve().parent.parent
_MARK = "_soco_registered"


def register() -> None:
    """Register both names. Called by `import soco_datasets`; calling it again changes nothing."""
    _map_checkout("loading_script")
    patches = {"datasets": _patch_datasets, "evaluate.loading": _patch_evaluate}
    for name, patch in patches.items():
        module = sys.modules.get(name)
        if module is not None and not getattr(module.__spec__, "_initializing", False):
            patch(module)
    if not any(isinstance(finder, _PatchingFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _PatchingFinder(patches))


def metric_script() -> Path:
    """The file of the metric: inside the installed package, or beside it in a checkout."""
    places = [folder / "eval" / METRIC / f"{METRIC}.py" for folder in (_PACKAGE, _PACKAGE.parent)]
    for place in places:
        if place.is_file():
            return place
    raise FileNotFoundError(f"The metric {METRIC} is missing from this installation (looked for {places[0]}).")


def _map_checkout(name: str) -> None:
    """In a checkout that is not installed, let `soco_datasets.<name>` be the folder beside the package."""
    full = f"soco_datasets.{name}"
    folder = _PACKAGE.parent / name
    if full in sys.modules or (_PACKAGE / name).is_dir() or not (folder / "__init__.py").is_file():
        return
    if importlib.util.find_spec(full) is not None:  # an editable installation maps it already
        return
    spec = importlib.util.spec_from_file_location(
        full, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None  # the file exists
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[full] = module
    spec.loader.exec_module(module)


def _patch_datasets(datasets: ModuleType) -> None:
    load = importlib.import_module("datasets.load")
    _wrap(load, "dataset_module_factory", _soco_module)
    # this module has imported the function by its name
    importlib.import_module("datasets.inspect").dataset_module_factory = load.dataset_module_factory  # type: ignore[attr-defined]
    importlib.import_module(
        "soco_datasets.loading.feature_types"
    )  # the feature types, for load_from_disk and map caches
    fsspec = importlib.import_module("fsspec")
    fsspec.register_implementation(DATASET, "soco_datasets.loading.feature_types.SocoFileSystem", clobber=True)


def _patch_evaluate(loading: ModuleType) -> None:
    _wrap(loading, "evaluation_module_factory", _metric_module)
    for name in ("evaluate.inspect", "evaluate.evaluation_suite"):  # these have imported the function by its name
        module = sys.modules.get(name)
        if module is not None and hasattr(module, "evaluation_module_factory"):
            module.evaluation_module_factory = loading.evaluation_module_factory  # type: ignore[attr-defined]


def _soco_module(original: Callable[..., Any], path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if path != DATASET:
        return original(path, *args, **kwargs)
    from datasets.load import DatasetModule

    from .. import __version__

    revision = inspect.signature(original).bind(path, *args, **kwargs).arguments.get("revision")
    return DatasetModule(
        module_path="soco_datasets.loading_script.soco",
        hash=hashlib.sha256(f"soco-datasets {__version__}".encode()).hexdigest(),
        builder_kwargs={} if revision is None else {"revision": str(revision)},
    )


def _metric_module(original: Callable[..., Any], path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if path == METRIC and not Path(METRIC, f"{METRIC}.py").is_file():
        path = str(metric_script())
    return original(path, *args, **kwargs)


def _wrap(module: ModuleType, name: str, around: Callable[..., Any]) -> None:
    """Replace a function of `module` by `around(original, path, args, kwargs)`, keeping its signature; once only."""
    original = getattr(module, name)
    if getattr(original, _MARK, False):
        return

    @functools.wraps(original)
    def wrapper(path: str, *args: Any, **kwargs: Any) -> Any:
        return around(original, path, args, kwargs)

    setattr(wrapper, _MARK, True)
    setattr(module, name, wrapper)


class _PatchingFinder(importlib.abc.MetaPathFinder):
    """Finds the watched modules as they would be found anyway, and patches each when its import ends."""

    def __init__(self, patches: dict[str, Callable[[ModuleType], None]]) -> None:
        self._patches = patches

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a watched module with a loader that patches it; None for all others."""
        if fullname not in self._patches:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _PatchingLoader(spec.loader, self._patches[fullname])  # type: ignore[arg-type]
                return spec
        return None


class _PatchingLoader(importlib.abc.Loader):
    """A loader that runs another one, then a patch; the module keeps no trace of it."""

    def __init__(self, loader: importlib.abc.Loader, patch: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._patch = patch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the other loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, then patch it; a patch that fails is a warning, never a failed import."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        try:
            self._patch(module)
        except Exception as error:
            message = f'soco_datasets could not register with {module.__name__} ({error}); "soco" names will not load.'
            warnings.warn(message, RuntimeWarning, stacklevel=2)
