"""Where the data is: data_dir=, SOCO_HOME, the cache, the Hub. Downloads or builds into a cache where it has to."""

from __future__ import annotations

import contextlib
import difflib
import os
import shlex
from pathlib import Path

from ..data.folder import DatasetFolder, open_folder
from ..data.manifest import FORMAT_NAME, MANIFEST, is_built
from ..data.remote_folder import (
    HubAddress,
    fetch_folder,
    hub_address,
    is_published,
    one_revision,
)
from ..errors import DataNotFoundError, SocoError, UsageError
from ..utils.foreign import read_json_text
from ..utils.paths import local_path, real_path
from ..utils.private_folders import make_private
from .base import SOCO, Benchmark, BuildOptions, find_benchmark
from .locations import MINI, cached_folder
from .locations import cache_root as cache_root
from .soco.source import HUB_RELEASE

LOCAL_FOLDER = "soco"  # of the working directory: plain `datasets` takes it for load_dataset("soco") too
_RELEASE_PARTS = ("Images", "PairAnnotations", "Images.zip", "PairAnnotations.zip")


def find_data(
    data_dir: str | os.PathLike[str] | None = None, revision: str | None = None, *, option: str | None = None
) -> Path | None:
    """The built folder that `resolve_data` would give, or None where it would have to build or download one first.

    Arguments as of `resolve_data`.

    Raises:
        DataNotFoundError: `data_dir` or SOCO_HOME names no built folder.
        DatasetFolderError: the folder is damaged.
        UsageError: `revision` together with a folder.
    """
    data_dir = _chosen(data_dir, revision)
    if _on_hub(data_dir, revision) is not None:
        return None
    named = "data_dir" if data_dir is not None else "SOCO_HOME" if os.environ.get("SOCO_HOME") else None
    if named is not None and revision is not None:
        raise UsageError(
            f"revision={revision!r} names a revision of the Hub release {HUB_RELEASE}, but {named} is set too. "
            f"Give only one of them."
        )
    if data_dir is not None and (benchmark := _benchmark_named(data_dir)) is not None:
        return _built_benchmark(benchmark)
    if data_dir is not None and str(data_dir) != MINI:
        return _named_folder(Path(data_dir), option)
    if data_dir is None and (home := os.environ.get("SOCO_HOME")):
        return _named_folder(Path(home), option, f"The environment variable SOCO_HOME={home!r}")
    candidates = [cached_folder(MINI)] if data_dir is not None else [cached_folder(revision=revision)]
    if revision is not None and is_built(default := cached_folder()) and _revision_of(default) == revision:
        candidates.append(default)
    for folder in candidates:
        if is_built(folder):
            return open_folder(folder).path
    return None


def resolve_data(
    data_dir: str | os.PathLike[str] | None = None,
    *,
    revision: str | None = None,
    rebuild: bool = False,
    images: bool = True,
    option: str | None = None,
) -> Path:
    """The built dataset folder to use; downloads it, or builds the mini set or the Hub release, where needed.

    Looks at, in order: `data_dir`; a built folder called `soco` in the working directory; the environment variable
    SOCO_HOME; what `soco build` put into the cache; the
    release on the Hub, downloaded and (unless it is a published folder already) built once. Processes that do this at
    the same time wait for one another.

    Args:
        data_dir: a folder made by `soco build`, "mini" for the built-in set, or a published folder on the Hub,
            "ORG/NAME" or "hf://datasets/ORG/NAME@REVISION".
        revision: commit, tag or branch of the Hub release, or of the repository that `data_dir` names.
        rebuild: build or download a cached folder again. A folder named by `data_dir` or SOCO_HOME is never touched.
        option: how the user named `data_dir`, for errors: an option of the command line such as "--data", "" for an
            argument without a name, or another argument in Python such as "data=". None = `data_dir=`.
        images: False leaves the images of a published folder on the Hub, to be fetched one by one.

    Raises:
        DataNotFoundError: there is no data, and it cannot be had from the Hub; says the ways to get it.
        HubError: the Hub refuses what `data_dir` names, or cannot be reached.
        DatasetFolderError, ReleaseError, UsageError: what was found cannot be used.
    """
    data_dir = _chosen(data_dir, revision)
    address = _on_hub(data_dir, revision)
    if address is not None:
        return open_folder(fetch_folder(address, images=images, force=rebuild)).path
    found = find_data(data_dir, revision, option=option)
    in_cache = str(data_dir) == MINI or (data_dir is None and not os.environ.get("SOCO_HOME"))
    if found is not None and not (rebuild and in_cache):
        return found
    mini = str(data_dir) == MINI
    target = cached_folder(MINI) if mini else cached_folder(revision=revision)
    if not mini and is_published(HUB_RELEASE, revision):
        return open_folder(fetch_folder(HubAddress(HUB_RELEASE, revision), images=images, force=rebuild)).path
    options = BuildOptions(revision=revision, overwrite=rebuild, preview=False)
    return _build_cached(MINI if mini else HUB_RELEASE, target, options, option)


def dataset_folder(data: DatasetFolder | str | os.PathLike[str] | None = None) -> DatasetFolder:
    """The opened dataset folder that `data` names: a folder, a benchmark, "mini", a Hub id, or an opened folder itself.

    Raises:
        UsageError: `data` is none of these.
        DataNotFoundError, HubError, DatasetFolderError: as `resolve_data`, which also says where None looks.
    """
    if isinstance(data, DatasetFolder):
        return data
    if data is not None and not isinstance(data, str | os.PathLike):
        raise UsageError(
            f'data must be a folder, the name of a benchmark, "mini" or a DatasetFolder, got {type(data).__name__}.'
        )
    return open_folder(resolve_data(data, option="data="))


def _chosen(data_dir: str | os.PathLike[str] | None, revision: str | None) -> str | Path | None:
    """`data_dir`; where nothing is asked for, a built folder called "soco" in the working directory."""
    data_dir = _soco_by_name(None if data_dir is None else os.fspath(data_dir))
    here = Path(LOCAL_FOLDER).absolute()
    if data_dir is not None or revision is not None or not is_built(here):
        return data_dir
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):  # a manifest of something else is not meant
        if read_json_text((here / MANIFEST).read_bytes())["format"] == FORMAT_NAME:
            return here
    return data_dir


def _soco_by_name(data_dir: str | Path | None) -> str | Path | None:
    """Where SOCO is asked for by name and there is no folder of that name: SOCO_HOME/soco, the cache, or no choice."""
    home = os.environ.get("SOCO_HOME")
    if data_dir is None or str(data_dir).casefold() != SOCO or Path(data_dir).exists():
        return data_dir
    inner = [local_path(home) / name for name in (SOCO, SOCO.upper())] if home else []
    built = next((folder for folder in inner if is_built(folder)), None)
    if built is None and home and hub_address(home) is None and not is_built(local_path(home)):
        return cached_folder()  # SOCO_HOME holds other benchmarks only
    return built


def _on_hub(data_dir: str | Path | None, revision: str | None) -> HubAddress | None:
    """The repository that `data_dir`, or without one SOCO_HOME, names; None where that is a folder or nothing."""
    named = data_dir if data_dir is not None else os.environ.get("SOCO_HOME") or None
    address = hub_address(named) if named is not None else None
    return one_revision(address, revision) if address is not None else None


def _benchmark_named(data_dir: str | Path) -> Benchmark | None:
    """The benchmark other than SOCO that `data_dir` names, unless there is a folder of that name."""
    found = None if local_path(data_dir).exists() else find_benchmark(str(data_dir))
    return found if found is not None and found.name != SOCO else None


def _built_benchmark(benchmark: Benchmark) -> Path:
    """The built folder of a benchmark: below SOCO_HOME under any of its names, else in the cache."""
    home = os.environ.get("SOCO_HOME")
    names = (benchmark.name, *benchmark.aliases)
    places = [local_path(home) / name for name in names] if home else []
    for folder in (*places, cached_folder(benchmark.name)):
        if is_built(folder):
            return open_folder(folder).path
    raise DataNotFoundError(
        f"No built {benchmark.title} found ({', '.join(map(str, (*places[:1], cached_folder(benchmark.name))))}). Get "
        f"the data ({benchmark.get_data}) and build it once: soco build FOLDER --benchmark {benchmark.name}"
    )


def _build_cached(source: str, target: Path, options: BuildOptions, option: str | None) -> Path:
    from filelock import FileLock

    from ..utils.files import explain_write_errors

    if source != MINI:
        _refuse_offline(option)
    try:
        with explain_write_errors(target):
            make_private(target.parent)
            lock = FileLock(target.parent / f".{target.name}.lock").acquire()
    except SocoError as error:
        raise SocoError(f"{error} The environment variable SOCO_CACHE names the folder for built data.") from error
    with lock:
        if is_built(target) and not options.overwrite:  # another process made it while this one waited
            return open_folder(target).path
        from .build import build_dataset

        try:
            build_dataset(source, target, options=options)
        except DataNotFoundError as error:
            raise DataNotFoundError(_no_data(str(error).splitlines()[0], option)) from error
        return open_folder(target).path


def _revision_of(folder: Path) -> object:
    source = open_folder(folder).manifest.get("source")
    return source.get("revision") if isinstance(source, dict) else None


def _refuse_offline(option: str | None) -> None:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise DataNotFoundError(_no_data("HF_HUB_OFFLINE is set", option))


def _no_data(reason: str, option: str | None) -> str:
    if option is not None and not option.endswith("="):
        return (
            f"No SOCO data found. Give {_given('DIR', option)}, a folder made by `soco build`, or "
            f"{_given(MINI, option)}, the small built-in set.\n`soco build RELEASE` builds a release that you have. "
            f"The download from the Hub ({HUB_RELEASE}) failed: {reason}"
        )
    return (
        f"No SOCO data found. This makes it, once: soco build {HUB_RELEASE} --out {LOCAL_FOLDER}\n"
        f'  load_dataset("soco", CONFIG) then finds the folder {LOCAL_FOLDER}/ here (or name any built folder: '
        f"{option or 'data_dir='}DIR, SOCO_HOME=DIR).\n"
        f"  From a release that you have: soco build RELEASE --out {LOCAL_FOLDER}. The small built-in set needs "
        f'nothing: {option or "data_dir="}"mini".\n'
        f"  The download from the Hub ({HUB_RELEASE}) failed now: {reason}"
    )


def _given(value: str, option: str | None) -> str:
    """A value as the user would name it: `data_dir="mini"`, `data="mini"`, `--data mini` or `mini`."""
    option = "data_dir=" if option is None else option
    return f'{option}"{value}"' if option.endswith("=") else f"{option} {value}".strip()


def _named_folder(path: Path, option: str | None, source: str | None = None) -> Path:
    """Check a folder that the user named, as `option` says or by another `source`, which then opens the message."""
    python = option is None or option.endswith("=")
    what = source or (f"{option or 'data_dir='}{str(path)!r}" if python else _given(str(path), option))
    path = local_path(path)
    if is_built(path):
        return open_folder(path).path
    if not path.exists():
        missing = "does not exist" if python or source else "no such folder"
        message = f"{what}{' ' if missing.startswith('does') else ': '}{missing}. {_near(path)}"
        raise DataNotFoundError(f"{message}Give a folder made by `soco build`, or {_given(MINI, option)}.")
    if path.is_dir() and any((path / part).exists() for part in _RELEASE_PARTS):
        command = f"soco build {shlex.quote(str(path))} --out {shlex.quote(str(real_path(path)) + '-built')}"
        raise DataNotFoundError(
            f"{what} is a release that has not been built yet. Build it once with\n  {command}\n"
            f"and give the folder after --out."
        )
    raise DataNotFoundError(
        f"{what} is not a built dataset folder (it has no manifest.json). "
        f"Make one with `soco build RELEASE --out DIR`, or use {_given(MINI, option)}."
    )


def _near(path: Path) -> str:
    """A question after the built folders beside `path` that have a similar name."""
    with contextlib.suppress(OSError):
        built = [other.name for other in path.absolute().parent.iterdir() if is_built(other)]
        close = difflib.get_close_matches(path.name, built, n=3)
        if close:
            return f"Did you mean {' or '.join(str(path.with_name(name)) for name in close)}? "
    return ""


def data_names(data: str | os.PathLike[str] | None) -> list[str]:
    """What `--data` names: a path that exists is one name, whatever it holds; else names are separated by commas."""
    if data is None or local_path(data).exists():
        return [] if data is None else [os.fspath(data)]
    names = [name.strip() for name in os.fspath(data).split(",")]
    if not all(names):
        raise UsageError(f"--data takes folders or benchmarks separated by commas; got {data!r}.")
    return list(dict.fromkeys(names))
