"""`soco cache`: the feature maps kept between runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from ..errors import UsageError
from . import EVALUATE
from .options import command, group

if TYPE_CHECKING:
    from ..features.cache.inventory import StoredFeatures

_StoreDir = Annotated[Path | None, Option(metavar="DIR", help="folder of the stores", show_default="in SOCO_CACHE")]


def add(app: typer.Typer) -> None:
    """Add the command and its own commands."""
    example = "soco cache clear --older-than 30"
    parts = group(app, "cache", "list or clear the stored feature maps", example, EVALUATE)
    command(parts, list_stores, "list", "list the stores: size, images, last use", "soco cache list")
    command(parts, clear_stores, "clear", "remove stores that no run uses", example)


def list_stores(store_dir: _StoreDir = None) -> None:
    """List the stores."""
    from ..features.cache.inventory import stored_features

    stores = stored_features(store_dir)
    for store in stores:
        print(_line(store))
    print(f"{len(stores)} stores, {sum(store.nbytes for store in stores) / 1e6:,.1f} MB")


def clear_stores(
    older_than: Annotated[
        float | None, Option(metavar="DAYS", help="only stores not used for so many days", show_default="all")
    ] = None,
    store_dir: _StoreDir = None,
) -> None:
    """Remove stores."""
    from ..features.cache.inventory import clear_features

    if older_than is not None and not older_than >= 0:
        raise UsageError(f"--older-than takes a number of days from 0, got {older_than:g}.")
    removed, busy = clear_features(store_dir, older_than)
    for store in busy:
        print(f"kept, in use: {_line(store)}")
    print(f"{len(removed)} stores removed, {sum(store.nbytes for store in removed) / 1e6:,.1f} MB")


def _line(store: StoredFeatures) -> str:
    used = time.strftime("%Y-%m-%d", time.localtime(store.used))
    size = f"{store.nbytes / 1e6:,.1f} MB"
    return f"{size:>12}  {store.images:,} images  used {used}  {store.model}  {store.path}"
