"""The images of a release: each decoded once, to be sure that it can be, and measured."""

from __future__ import annotations

import functools
import hashlib
import io
import itertools
import re
import warnings
from collections.abc import Callable

from PIL import Image, UnidentifiedImageError

from ..data.diagnostics import BuildReport, Diagnostic
from ..data.release_types import MAX_PIXELS, ImageRecord
from ..utils.chunks import Mapper, chunks_of
from ..utils.progress import progress
from .release_files import ReleaseFiles, read_error

_FORMATS = ("JPEG", "PNG", "WEBP")  # what Pillow opens as JPEG may be MPO, a camera's JPEG with a preview
_ENDINGS = (".jpeg", ".jpg", ".jpe", ".jfif", ".mpo", ".png", ".webp")
_ORIENTATION = 0x0112
_DRAFT = 8  # the largest reduction of which libjpeg is capable while it decodes
_CHUNK = 128  # images that one call of a mapper checks


def image_id_of(path: str) -> str:
    """ "Images/car/car_1.JPEG" -> "car/car_1"."""
    _, category, name = path.split("/")
    return f"{category}/{name.rpartition('.')[0] or name}"


def natural_order(image_id: str) -> tuple[str, list[tuple[int, int, str]]]:
    """Sort key: by category, then "car_2" before "car_10"."""
    category, _, stem = image_id.partition("/")
    parts = re.split(r"(\d+)", stem)
    return category, [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]


def read_images(files: ReleaseFiles, findings: BuildReport, mapper: Mapper = map) -> dict[str, ImageRecord]:
    """Decode every file below Images/ and return the records by image_id, in dataset order.

    An image that does not decode, two images of one id, or a file in a wrong place is an error in `findings`.
    """
    paths = []
    for name in files.names:
        if not name.startswith("Images/"):
            continue
        if name.count("/") != 2:
            message = "not at Images/<category>/<file>: left out"
            findings.repair(name, "", "misplaced_file", message, "move it, or remove it")
        elif not name.lower().endswith(_ENDINGS):
            message = f"no image by its ending ({', '.join(_ENDINGS)}): left out"
            findings.repair(name, "", "no_image", message, "remove it, or name it by what it is")
        else:
            paths.append(name)

    records: dict[str, ImageRecord] = {}
    parts = (files.part(names) for names in chunks_of(paths, _CHUNK))
    checked = itertools.chain.from_iterable(mapper(check_images, parts))
    for result in progress(checked, "Checking images", total=len(paths), unit="image"):
        if isinstance(result, Diagnostic):
            findings.extend([result])
        elif result.image_id in records:
            message = f"has the same id ({result.image_id}) as {records[result.image_id].file}"
            findings.error(result.file, "", "doubled_image", message, "rename or remove one of them")
        else:
            records[result.image_id] = result
    return {image_id: records[image_id] for image_id in sorted(records, key=natural_order)}


def check_images(files: ReleaseFiles) -> list[ImageRecord | Diagnostic]:
    """`check_image` of all files, in order. Raises `DataNotFoundError` where none can be seen from this machine."""
    files.check_reachable()
    return [check_image(path, functools.partial(files.read, path)) for path in files.names]


def check_image(path: str, read: Callable[[], bytes]) -> ImageRecord | Diagnostic:
    """Decode one image fully; a `Diagnostic` when that fails."""

    def failed(reason: str, mend: str) -> Diagnostic:
        return Diagnostic("error", path, "", "bad_image", reason, mend)

    try:
        data = read()
    except Exception as error:
        # a damaged archive member raises zipfile, zlib or OS errors, depending on where the damage lies
        return failed(f"cannot be read: {read_error(error)}", "get the file or archive again")
    try:
        try:
            (width, height), orientation = _decode(data, fully=False)
        except Exception:  # the full decode decides, and its error is the one reported
            (width, height), orientation = _decode(data, fully=True)
    except UnidentifiedImageError:
        return failed("does not decode as an image: neither JPEG nor PNG nor WebP", "put the intact file in its place")
    except Exception as error:
        # Pillow raises many kinds of error on damaged data (SyntaxError, struct.error, OSError, ...)
        return failed(f"does not decode as an image: {read_error(error)}", "put the intact file in its place")
    if width * height > MAX_PIXELS:
        return failed(f"is {width} x {height} pixels, more than {MAX_PIXELS:,}", "scale it down")
    return ImageRecord(
        image_id=image_id_of(path),
        file=path,
        width=width,
        height=height,
        exif_orientation=orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1,
        byte_count=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _decode(data: bytes, fully: bool) -> tuple[tuple[int, int], object]:
    """((width, height), EXIF orientation) of an image that decodes; one of too many pixels is not tried.

    A JPEG that is not decoded fully has all its compressed data read, which is where damage shows, but only an eighth
    of its pixels computed, without their color: of 30,000 files damaged at random, the same decode either way.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                return (width, height), None
            orientation = image.getexif().get(_ORIENTATION)
            if not fully:
                image.draft("L", (max(1, width // _DRAFT), max(1, height // _DRAFT)))
            image.load()
    return (width, height), orientation
