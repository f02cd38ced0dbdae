"""Photographs: opened with care (size, format, decoding), measured, and copied into the project under safe names."""

from __future__ import annotations

import hashlib
import io
import re
import unicodedata
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.jpeg import without_orientation
from ..errors import SocoError
from ..utils.files import atomic_write

if TYPE_CHECKING:
    from PIL import Image

FORMATS = {"JPEG": ".JPEG", "MPO": ".JPEG", "PNG": ".png", "WEBP": ".webp"}
ENDINGS = (".jpeg", ".jpg", ".jpe", ".jfif", ".png", ".webp")
MAX_PIXELS = 100_000_000
MAX_BYTES = 100_000_000
_ORIENTATION = 0x0112


class BadPhotographError(SocoError, ValueError):
    """A file that is not usable as a photograph, with the reason."""


@dataclass(frozen=True)
class PhotoFile:
    """A decoded file.

    Attributes:
        data: the bytes to keep: the file's own, or those of the picture turned upright.
        ending: by its format.
        width: in stored pixels; likewise `height`.
        sha256: hex, of the file as it was found.
        phash: perceptual hash, 16 hex digits.
        turned: whether an EXIF rotation was applied and the picture encoded again.
    """

    data: bytes
    ending: str
    width: int
    height: int
    sha256: str
    phash: str
    turned: bool


def read_photograph(path: Path, upright: bool) -> PhotoFile:
    """Read a file.

    Args:
        path: of the file.
        upright: apply an EXIF rotation (points of the file, if it has any, would no longer fit).

    Raises:
        BadPhotographError: too large, another format, or it does not decode.
    """
    try:
        if not path.is_file():
            raise BadPhotographError("the file is not there")
        if path.stat().st_size > MAX_BYTES:
            raise BadPhotographError(f"the file is larger than {MAX_BYTES // 10**6} MB")
        data = path.read_bytes()
    except OSError as error:
        if isinstance(error, SocoError):
            raise
        raise BadPhotographError(f"cannot be read: {error.strerror}") from None
    return decode_photograph(data, upright)


def decode_photograph(data: bytes, upright: bool = False) -> PhotoFile:
    """As `read_photograph`, of bytes."""
    from PIL import Image, ImageOps

    digest = hashlib.sha256(data).hexdigest()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise BadPhotographError(f"{image.width} x {image.height} pixels are more than {MAX_PIXELS:,}")
                ending = FORMATS[image.format or ""]
                turned = image.getexif().get(_ORIENTATION, 1) in range(2, 9)
                image.load()
                picture = image.convert("RGB")
                if turned and upright:
                    picture = ImageOps.exif_transpose(image).convert("RGB")
    except BadPhotographError:
        raise
    except Exception as error:  # Pillow raises many kinds of error on damaged data
        raise BadPhotographError(f"does not decode as JPEG, PNG or WebP ({type(error).__name__})") from None
    if turned and upright:
        buffer = io.BytesIO()
        picture.save(buffer, format="JPEG", quality=95)
        data, ending = buffer.getvalue(), ".JPEG"
    return PhotoFile(data, ending, *picture.size, digest, perceptual_hash(picture), turned and upright)


def perceptual_hash(picture: Image.Image) -> str:
    """64-bit pHash of a PIL image as 16 hex digits."""
    import imagehash

    return str(imagehash.phash(picture))


def hash_distance(first: str, second: str) -> int:
    """Differing bits of two perceptual hashes.

    >>> hash_distance("00000000000000ff", "0000000000000000")
    8
    """
    return (int(first, 16) ^ int(second, 16)).bit_count()


def displayed(path: Path) -> tuple[bytes, str]:
    """(bytes, media type) of a stored picture as a browser must show it: without its EXIF rotation."""
    data = path.read_bytes()
    kinds = {b"\x89PNG": "image/png", b"RIFF": "image/webp"}
    return without_orientation(data), kinds.get(data[:4], "image/jpeg")


def safe_stem(name: str) -> str:
    """A file name without path, control characters or surprises, never empty.

    >>> safe_stem("../../etc/pass wd\\x00.jpg"), safe_stem("...")
    ('pass_wd', 'image')
    """
    stem = unicodedata.normalize("NFKD", re.split(r"[\\/]", name)[-1]).encode("ascii", "ignore").decode()
    stem = stem.rpartition(".")[0] or stem
    return re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_-")[:80] or "image"


def store_photograph(folder: Path, category: str, name: str, photograph: PhotoFile) -> str:
    """Write a photograph to `images/<category>/` of the project; returns its path below the folder.

    The same bytes get the same name; another picture of the same name gets a number.
    """
    number = 1
    stem = safe_stem(name)
    while True:
        file = f"images/{category}/{stem}{'' if number == 1 else f'_{number}'}{photograph.ending}"
        path = folder / file
        if not path.exists():
            atomic_write(path, photograph.data)
            return file
        if path.read_bytes() == photograph.data:
            return file
        number += 1
