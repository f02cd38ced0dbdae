"""Synthetic data on request, and the embedded default of `--data synth`, made once per machine."""

from __future__ import annotations

from pathlib import Path

from ..errors import MissingExtraError, UsageError
from ..utils.files import atomic_folder, explain_write_errors
from ..utils.private_folders import check_private, make_private

SYNTH = "synth"


def synthesize(name: str, folder: Path, seed: int = 0) -> dict[str, Path]:
    """Write the synthetic release of a data set, or of all into folders of their own.

    Args:
        name: kind of data set, or "all".
        folder: new or empty.
        seed: of the scenes.

    Returns:
        Kind -> folder. With "all", kinds whose package is missing are left out.

    Raises:
        UsageError: an unknown kind, a folder with something in it.
        MissingExtraError: a package that writes the layout is not installed.
    """
    from ..synthetic.downstream import WRITERS, write_synthetic

    if name != "all":
        with atomic_folder(folder) as temporary:
            write_synthetic(name, temporary, seed)
        return {name: folder}
    made: dict[str, Path] = {}
    for kind in WRITERS:
        try:
            made |= synthesize(kind, folder / kind, seed)
        except MissingExtraError as error:
            print(f"left out: {kind}: {error}")
    return made


def embedded(kind: str) -> Path:
    """The folder of a kind's synthetic release in the cache, written where it is missing.

    Several processes may ask at once: each writes the same files, and those of the first to finish are kept.
    """
    from ..benchmarks.locations import cache_root
    from ..synthetic.downstream import SYNTHETIC_VERSIONS

    folder = cache_root() / "downstream" / f"synthetic-{SYNTHETIC_VERSIONS[kind]}" / kind
    with explain_write_errors(folder):
        make_private(make_private(cache_root()) / "downstream")
    check_private(folder.parent.parent)
    finished = folder / "synthetic.json"
    if not finished.is_file():
        try:
            synthesize(kind, folder)
        except UsageError:  # the folder is taken
            if not finished.is_file():
                raise
    return folder
