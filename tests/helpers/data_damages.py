"""Random damages of the files of a data set: of bytes, of JSON, and of what pickles, arrays, tables and images hold."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from helpers.damages import Trap
from helpers.fuzzing import ODD, damage, mutate_json

Holder = Any  # a dict, list or object array


def alter(random: Random, root: Path) -> str:
    """Damage one file of a folder, and say what was done."""
    path = random.choice(sorted(one for one in root.rglob("*") if one.is_file()))
    change = random.choice((_CONTENT.get(path.suffix.lower(), _bytes),) * 4 + (_bytes, _file))
    try:
        change(random, path)
    except Exception:  # it was damaged before, in a way that is not read any more
        change = _bytes
        change(random, path)
    return f"{change.__name__} {path.relative_to(root)}"


def _file(random: Random, path: Path) -> None:
    kind = random.choice(("remove", "empty", "folder", "copy", "other", "link", "unreadable name"))
    others = sorted(one for one in path.parent.iterdir() if one.is_file() and one != path)
    if kind == "copy":
        shutil.copy(path, path.with_name(f"zz_{path.name}"))
    elif kind == "other" and others:
        shutil.copy(random.choice(others), path)
    elif kind == "unreadable name":
        path.rename(path.with_name(f"{path.stem}\x1b[2J\n{path.suffix}"))
    else:
        path.unlink()
        if kind == "empty":
            path.touch()
        elif kind == "folder":
            path.mkdir()
        elif kind == "link":
            path.symlink_to(path.name)


def _bytes(random: Random, path: Path) -> None:
    path.write_bytes(damage(random, path.read_bytes()))


def _json(random: Random, path: Path) -> None:
    text = path.read_text()
    if path.stat().st_size > 20_000:  # one record of a long list, which is what a reader looks at
        data = json.loads(text)
        part = next(value for value in (data.values() if isinstance(data, dict) else [data]) if isinstance(value, list))
        part[:] = part[: random.randint(1, 3)]
        text = json.dumps(data)
    path.write_bytes(mutate_json(random, text).encode("utf-8", "surrogatepass"))


def _text(random: Random, path: Path) -> None:
    lines = path.read_text().splitlines()
    row = random.randrange(max(1, len(lines)))
    lines[row : row + 1] = random.choice(
        ([], ["x"], ["", ""], [*lines[row : row + 1]] * 2, ["a b c d"], ["../../x", "é\x00"])
    )
    path.write_text("\n".join(lines))


def other_value(random: Random, value: Any, trap: Path) -> Any:
    """Something else in the place of a value: another shape, type, unit, or an object that acts when it is unpickled."""
    if random.random() < 0.1:
        return Trap(str(trap))
    if not isinstance(value, np.ndarray) or random.random() < 0.15:
        return random.choice((*ODD, np.zeros((0, 3)), np.array("x"), np.float64("nan"), b"\xff\xd8\xff", "x" * 3000))
    whole = value.copy()
    changes: tuple[Callable[[], Any], ...] = (
        lambda: whole[:1], lambda: whole[:0], lambda: whole[..., :1], lambda: whole[None], lambda: whole.reshape(-1),
        lambda: np.swapaxes(whole, -1, -2) if whole.ndim > 1 else whole, lambda: whole.astype(np.complex128),
        lambda: whole.astype(object), lambda: whole.astype(str), lambda: whole.astype(np.float16), lambda: whole.tolist(),
        lambda: whole * 1000, lambda: whole * np.nan, lambda: whole * 0, lambda: ~whole if whole.dtype == bool else -whole,
        lambda: whole.astype(">f8"), lambda: whole.astype(np.int8), lambda: whole[::-1],
    )  # fmt: skip
    with np.errstate(all="ignore"):
        return random.choice(changes)()


def _spots(value: Any) -> Iterator[tuple[Holder, Any]]:
    """(holder, key) of every value inside."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield value, key
        yield from _spots(part)


def _alter_inside(random: Random, content: Any, trap: Path) -> Any:
    holder, key = random.choice(list(_spots(content)) or [(None, None)])
    kind = random.choice(("value", "value", "value", "value", "remove", "whole", "more"))
    if holder is None or kind == "whole":
        return other_value(random, content, trap)
    if kind == "remove":
        del holder[key]
    elif kind == "more" and isinstance(holder, dict):
        holder[random.choice(("more", 3, None))] = holder[key]
    else:
        try:
            holder[key] = other_value(random, holder[key], trap)
        except (ValueError, TypeError):
            holder[key] = None
    return content


def _pickle(random: Random, path: Path) -> None:
    opened: Any = gzip.open if path.suffix == ".pklz" else open
    with opened(path, "rb") as file:
        content = pickle.load(file)
    content = _alter_inside(random, content, path.parent / "sprung")
    with opened(path, "wb") as file:
        pickle.dump(content, file, protocol=random.choice((0, 2, 4, 5)))


def _npz(random: Random, path: Path) -> None:
    with np.load(path, allow_pickle=True) as file:
        content = {name: file[name] for name in file.files}
    content = _alter_inside(random, content, path.parent / "sprung")
    named = content if isinstance(content, dict) else {"arr": content}
    np.savez(path, **{str(name): _array(value) for name, value in named.items()})


def _array(value: Any) -> Any:
    try:
        return np.asarray(value)
    except ValueError:
        return np.array([None])


def _mat(random: Random, path: Path) -> None:
    if path.read_bytes()[:4] == b"\x89HDF":
        return _hdf(random, path)
    from scipy.io import loadmat, savemat

    content = {name: value for name, value in loadmat(path).items() if not name.startswith("__")}
    content = _alter_inside(random, content, path.parent / "sprung")
    content = content if isinstance(content, dict) else {"x": content}
    kept = {str(name): value for name, value in content.items() if isinstance(value, np.ndarray | int | float | str)}
    for name, value in kept.items():  # SciPy writes an object for each element, in minutes
        kept[name] = value[:1, :1] if isinstance(value, np.ndarray) and value.dtype == object else value
    try:
        savemat(path, kept)
    except (TypeError, ValueError):
        savemat(path, {"x": 1})
    return None


def _hdf(random: Random, path: Path) -> None:
    import h5py

    with h5py.File(path, "r+") as file:
        name = random.choice(sorted(file))
        value = other_value(random, file[name][()], path)
        del file[name]
        kind = random.choice(("value", "value", "value", "remove", "group", "link", "outside"))
        if kind == "group":
            file.create_group(name)
        elif kind == "link":
            file[name] = h5py.SoftLink(f"/{name}")
        elif kind == "outside":
            file[name] = h5py.ExternalLink("/etc/passwd", "/x")
        elif kind == "value":
            try:
                file[name] = np.asarray(value)
            except (TypeError, ValueError):
                file[name] = "text"


def _parquet(random: Random, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = pq.read_table(path).to_pylist()
    content = _alter_inside(random, rows, path.parent / "sprung")
    try:
        table = pa.Table.from_pylist(content)
    except (pa.ArrowException, TypeError, AttributeError, OverflowError):
        name = random.choice(list(rows[0]) if rows and isinstance(rows[0], dict) else ["x"])
        table = pa.table({name: random.choice(([], [1, 2], ["x"], [None], [[1.0]], [b"\x00"], [{"bytes": None}]))})
    pq.write_table(table, path)


def _image(random: Random, path: Path) -> None:
    with Image.open(path) as file:
        file.load()
        image: Any = file.copy()
    exif = Image.Exif()
    options: dict[str, Any] = {}
    kind = random.choice(("mode", "size", "turn", "exif", "type", "values"))
    if kind == "mode":
        mode = random.choice(("1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "I", "I;16", "F"))
        try:
            image = image.convert(mode)
        except ValueError:
            image = image.convert("L")
    elif kind == "size":
        image = image.resize(random.choice(((1, 1), (1, 300), (3000, 1), (50, 30), (image.width + 1, image.height))))
    elif kind == "turn":
        image = image.transpose(Image.Transpose.ROTATE_90)
    elif kind == "exif":
        exif[0x0112] = random.choice((2, 3, 6, 8, 99))
        options["exif"] = exif.tobytes()
    elif kind == "values":
        image = (
            image.point(lambda value: random.choice((0, 255, 200, 151))) if image.mode in ("L", "P", "RGB") else image
        )
    formats = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP") if kind == "type" else ("JPEG", "PNG", "TIFF")
    own = "PNG" if path.suffix.lower() == ".png" else "JPEG"
    for name in (own if kind != "type" else random.choice(formats), *formats):
        buffer = io.BytesIO()
        try:
            image.save(buffer, format=name, **options)
        except (OSError, KeyError, ValueError, TypeError):
            continue
        path.write_bytes(buffer.getvalue())
        return


_CONTENT: dict[str, Callable[[Random, Path], None]] = {
    ".json": _json, ".txt": _text, ".csv": _text, ".pkl": _pickle, ".pklz": _pickle, ".npz": _npz, ".mat": _mat, ".parquet": _parquet,
    ".jpg": _image, ".jpeg": _image, ".png": _image,
}  # fmt: skip
