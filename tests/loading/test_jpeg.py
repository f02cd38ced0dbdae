from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from soco_datasets.data.jpeg import without_orientation

ORIENTATION = 0x0112


def picture() -> Image.Image:
    return Image.fromarray(np.arange(16 * 24 * 3, dtype=np.uint8).reshape(16, 24, 3))


def jpeg(endian: str | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture().save(buffer, "JPEG", **options)
    return buffer.getvalue()


def exif(orientation: int, endian: str) -> bytes:
    """An EXIF block with a description, the orientation and a resolution unit, in either byte order."""
    order = {"II": "little", "MM": "big"}[endian]

    def number(value: int, size: int) -> bytes:
        return value.to_bytes(size, order)

    def entry(tag: int, value: int) -> bytes:
        return number(tag, 2) + number(3, 2) + number(1, 4) + number(value, 2) + b"\0\0"

    directory = number(3, 2) + entry(0x0106, 2) + entry(ORIENTATION, orientation) + entry(0x0128, 2) + number(0, 4)
    return b"Exif\0\0" + endian.encode() + number(42, 2) + number(8, 4) + directory


@pytest.mark.parametrize("endian", ["II", "MM"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_only_the_tag_changes_and_nobody_rotates(orientation: int, endian: str) -> None:
    data = jpeg(exif=exif(orientation, endian))
    assert Image.open(io.BytesIO(data)).getexif()[ORIENTATION] == orientation
    changed = without_orientation(data)
    image = Image.open(io.BytesIO(changed))
    assert image.getexif()[ORIENTATION] == 1
    assert image.getexif()[0x0128] == 2
    np.testing.assert_array_equal(np.asarray(ImageOps.exif_transpose(image)), np.asarray(Image.open(io.BytesIO(data))))
    assert sum(a != b for a, b in zip(data, changed, strict=True)) == (orientation != 1)


def test_orientation_in_xmp_only() -> None:
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    plain = jpeg()
    data = plain[:2] + b"\xff\xe1" + (len(xmp) + 2).to_bytes(2, "big") + xmp + plain[2:]
    assert Image.open(io.BytesIO(data)).getexif().get(ORIENTATION) == 6
    assert Image.open(io.BytesIO(without_orientation(data))).getexif().get(ORIENTATION) == 1


def test_files_without_orientation_stay_as_they_are() -> None:
    assert without_orientation(jpeg()) == jpeg()
    buffer = io.BytesIO()
    picture().save(buffer, "PNG")
    assert without_orientation(buffer.getvalue()) == buffer.getvalue()


@given(st.integers(0, 400), st.binary(max_size=8))
def test_damaged_headers_neither_raise_nor_change_size(cut: int, noise: bytes) -> None:
    data = jpeg(exif=exif(6, "MM"))
    damaged = data[:cut] + noise + data[cut + len(noise) :]
    for candidate in (damaged, damaged[:cut], noise):
        assert len(without_orientation(candidate)) == len(candidate)
