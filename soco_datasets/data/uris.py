"""Addresses of the images of built folders, "soco://FOLDER!/IMAGE_ID", and what may follow them after "#"."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

PROTOCOL = "soco"
PREFIX = f"{PROTOCOL}://"
_SEPARATOR = "!/"
_DRIVE = re.compile("[A-Za-z]:")  # a root on Windows
_MARKS = "marks="  # begins what stands after "#" where markers are to be drawn into the image
_TAG = re.compile(r"#(\d+)$")  # the pair number after the address of an image of `all`


def image_address(root: str, image_id: str) -> str:
    """The address of an image of the built folder at `root` (absolute, "/" as separator).

    The root goes without its leading slash: `datasets` passes addresses through `pathlib`, which would eat it.

    >>> image_address("/data/SOCO", "kettle electric/kettle electric_1")
    'soco://data/SOCO!/kettle%20electric/kettle%20electric_1'
    """
    return f"{PREFIX}{quote(root.removeprefix('/'))}{_SEPARATOR}{quote(image_id)}"


def parse_uri(address: str) -> tuple[str, str]:
    """(root, image_id) of an address; raises `ValueError` for anything else. The inverse of `image_address`.

    >>> parse_uri("soco://data/SOCO!/car/car_1")
    ('/data/SOCO', 'car/car_1')
    """
    root, separator, image_id = address.removeprefix(PREFIX).rpartition(_SEPARATOR)
    if not separator or not root or not image_id:
        raise ValueError(f"{address!r} is not the address of a SOCO image ({PREFIX}FOLDER{_SEPARATOR}IMAGE_ID)")
    root = unquote(root)
    return root if _DRIVE.match(root) else f"/{root}", unquote(image_id.partition("#")[0])


def pair_tag(k: int) -> str:
    """What follows the address of an image of pair `k` of `all`."""
    return f"#{k}"


def pair_of(address: str) -> int | None:
    """The pair number at the end of an address, None where there is none: the inverse of `pair_tag`."""
    found = _TAG.search(address)
    return None if found is None else int(found[1])


def marks_of(address: str) -> str:
    """What is to be drawn into the image at an address (see `data.questions.markers`), "" for the image as it is.

    >>> marks_of("soco://data/SOCO!/car/car_1#marks=arrow%2Cred%3B%2A%2C12.5%2C30.0")
    'marks=arrow,red;*,12.5,30.0'
    """
    tag = address.partition("#")[2]
    return _MARKS + unquote(tag.removeprefix(_MARKS)) if tag.startswith(_MARKS) else ""


def marked(address: str, tag: str) -> str:
    """The address with what is to be drawn into the image; characters that mean something to fsspec are quoted.

    >>> marked("soco://data/SOCO!/car/car_1", "#marks=arrow,red;*,12.5,30.0")
    'soco://data/SOCO!/car/car_1#marks=arrow%2Cred%3B%2A%2C12.5%2C30.0'
    """
    return address + f"#{_MARKS}" + quote(tag.removeprefix(f"#{_MARKS}"), safe="") if tag else address
