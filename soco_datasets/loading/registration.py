"""Makes `load_dataset("soco", ...)` and `evaluate.load("soco_pck")` resolve, from any folder and without the Hub.

Each library finds a module through one function. `register` (called by `import soco_datasets`) wraps these two for our
two names; every other name goes to the library's own function, and nothing else of any library is replaced:

| hooked | why | tested with |
|---|---|---|
| `datasets.load.dataset_module_factory` | `load_dataset("soco", ...)`, for want of an entry point | datasets 5.2 |
| `evaluate.loading.evaluation_module_factory` | `evaluate.load("soco_pck")`, likewise | evaluate 0.4.6 |

`HOOKS` is this table, with the modules that have imported a function by its name. Added through the libraries' own
means, replacing nothing: the feature type of the split `all` (`datasets.features.features.register_feature`, when a
dataset is first loaded) and a read-only file system (entry point `fsspec.specs` in pyproject.toml). `unregister` undoes
the hooks and the feature type; what `combining` wraps for the sake of datasets that are loaded already stays.
`soco_datasets.load_dataset` and `soco_datasets.load_metric` need none of them.

Neither library is imported for it (`evaluate` imports torch and transformers, which takes seconds): one that is not
there yet is hooked at the end of its own import.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.abc
import importlib.util
import inspect
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

DATASET = "soco"
METRIC = "soco_pck"
_ORIGINAL = "_soco_original"  # attribute of our wrappers
_registered = False
_PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Hook:
    """One function of another library that is wrapped.

    Attributes:
        module, function: where it is.
        copies: modules that import the function by its name.
        around: called as `around(original, path, args, kwargs)`; passes every name but ours to `original`.
    """

    module: str
    function: str
    copies: tuple[str, ...]
    around: Callable[..., Any]


def register() -> None:
    """Register both names. Called by `import soco_datasets`; calling it again changes nothing."""
    global _registered
    _registered = True
    _map_checkout("loading_script")
    for hook in HOOKS:
        module = sys.modules.get(hook.module)
        if module is not None and not getattr(module.__spec__, "_initializing", False):
            _apply(hook, module)
    if not any(isinstance(finder, _HookingFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _HookingFinder())


def unregister() -> None:
    """Undo `register`: both functions are again what they were, libraries imported from now on stay as they are.

    Datasets that are loaded already keep working.
    """
    global _registered
    _registered = False
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _HookingFinder)]
    for hook in HOOKS:
        for name in (hook.module, *hook.copies):
            module = sys.modules.get(name)
            function = getattr(module, hook.function, None)
            if hasattr(function, _ORIGINAL):
                setattr(module, hook.function, getattr(function, _ORIGINAL))
    features = sys.modules.get(f"{__package__}.feature_types")
    if features is not None:
        features.unregister_features()


def dataset_hash() -> str:
    """What `datasets` takes for the hash of the code of our builder."""
    from .. import __version__

    return hashlib.sha256(f"soco-datasets {__version__}".encode()).hexdigest()


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


def _soco_module(original: Callable[..., Any], path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if path != DATASET:
        return original(path, *args, **kwargs)
    from datasets.load import DatasetModule

    revision = inspect.signature(original).bind(path, *args, **kwargs).arguments.get("revision")
    return DatasetModule(
        module_path="soco_datasets.loading_script.soco",
        hash=dataset_hash(),
        builder_kwargs={} if revision is None else {"revision": str(revision)},
    )


def _metric_module(original: Callable[..., Any], path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if path == METRIC and not Path(METRIC, f"{METRIC}.py").is_file():
        path = str(metric_script())
    return original(path, *args, **kwargs)


HOOKS = (
    Hook("datasets.load", "dataset_module_factory", ("datasets.inspect",), _soco_module),
    Hook(
        "evaluate.loading",
        "evaluation_module_factory",
        ("evaluate.inspect", "evaluate.evaluation_suite"),
        _metric_module,
    ),
)


def _apply(hook: Hook, module: ModuleType) -> None:
    """Wrap a function, once, wherever it is bound already."""
    original = getattr(module, hook.function)
    if hasattr(original, _ORIGINAL):
        return

    @functools.wraps(original)
    def wrapper(path: str, *args: Any, **kwargs: Any) -> Any:
        if not _registered:  # somebody holds on to it
            return original(path, *args, **kwargs)
        return hook.around(original, path, args, kwargs)

    setattr(wrapper, _ORIGINAL, original)
    setattr(module, hook.function, wrapper)
    for name in hook.copies:
        copy = sys.modules.get(name)
        if copy is not None and getattr(copy, hook.function, None) is original:
            setattr(copy, hook.function, wrapper)


class _HookingFinder(importlib.abc.MetaPathFinder):
    """Finds the hooked modules as they would be found anyway, and hooks each when its import ends."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a hooked module with a loader that hooks it; None for all others."""
        hook = next((hook for hook in HOOKS if hook.module == fullname), None)
        if hook is None:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _HookingLoader(spec.loader, hook)  # type: ignore[arg-type]
                return spec
        return None


class _HookingLoader(importlib.abc.Loader):
    """A loader that runs another one, then applies a hook; the module keeps no trace of it."""

    def __init__(self, loader: importlib.abc.Loader, hook: Hook) -> None:
        self._loader = loader
        self._hook = hook

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the other loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, then hook it; a hook that fails is a warning, never a failed import."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        try:
            _apply(self._hook, module)
        except Exception as error:
            message = f'soco_datasets could not register with {module.__name__} ({error}); "soco" names will not load.'
            warnings.warn(message, RuntimeWarning, stacklevel=2)
