"""Material for a first try without a camera: rendered photographs of one object class, and the truth about them."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..errors import UsageError, unknown_name
from ..utils.files import atomic_folder
from .release_writer import write_json

_MOST = 8  # that the renderer draws of a category for one seed


def write_practice(out: Path, category: str = "bus", name: str = "minibus", count: int = 5, seed: int = 7) -> Path:
    """Write `photos/<name>/`, `card.jpg` (one more picture), `truth/` (a release folder with the true points) and
    `soco-mini/` (the mini set as a release, to add the category to).

    Args:
        out: folder to make.
        category: of the mini set's renderer.
        name: what the category is called here.
        count: photographs, at most 7.
        seed: of the renderer; other objects and views than the mini set's (seed 0).

    Raises:
        UsageError: an unknown category, or a count that cannot be drawn.
    """
    from ..synthetic.mini_release import write_mini_release

    if not 1 <= count < _MOST:
        raise UsageError(f"--count is from 1 to {_MOST - 1}, got {count}.")
    with atomic_folder(out) as folder:
        release = folder / "release"
        write_mini_release(release, seed)
        if not (release / "Images" / category).is_dir():
            raise unknown_name("category", category, [path.name for path in (release / "Images").iterdir()])
        _keep(release, folder, (category, name), count)
        shutil.rmtree(release)
        write_mini_release(folder / "soco-mini")
    return out


def _keep(release: Path, folder: Path, names: tuple[str, str], count: int) -> None:
    from .json_files import read_outside_json

    category, name = names
    for number in range(1, count + 2):
        image = release / "Images" / category / f"{category}_{number}.JPEG"
        if number > count:
            shutil.copyfile(image, folder / "card.jpg")
            continue
        stem = f"{name}_{number}"
        for target in (folder / "photos" / name / f"{stem}.jpg", folder / "truth" / "Images" / name / f"{stem}.jpg"):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(image, target)
        record = read_outside_json(release / "KeypointAnnotations" / category / f"{category}_{number}.json")
        record.update(image=f"{stem}.jpg", category=name)
        write_json(folder / "truth" / "KeypointAnnotations" / name / f"{stem}.json", record)
