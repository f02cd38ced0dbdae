"""`soco cache`: the feature maps kept between runs."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..utils.paths import local_path
from .common import Commands, command

if TYPE_CHECKING:
    from ..features.cache.inventory import StoredFeatures


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = command(commands, "cache", "list or clear the stored feature maps", "soco cache clear --older-than 30")
    parser.add_argument("action", choices=("list", "clear"), help="what to do")
    parser.add_argument("--older-than", type=float, metavar="DAYS", help="clear: only what was not used for so long")
    parser.add_argument("--store-dir", type=local_path, help="folder of the stores (default: in SOCO_CACHE)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run it."""
    from ..features.cache.inventory import clear_features, stored_features

    days = arguments.older_than
    if days is not None and (arguments.action == "list" or not days >= 0):
        raise UsageError("--older-than takes a number of days from 0 and goes with `soco cache clear`.")
    if arguments.action == "list":
        stores = stored_features(arguments.store_dir)
        for store in stores:
            print(_line(store))
        print(f"{len(stores)} stores, {sum(store.nbytes for store in stores) / 1e6:,.1f} MB")
        return
    removed, busy = clear_features(arguments.store_dir, days)
    for store in busy:
        print(f"kept, in use: {_line(store)}")
    print(f"{len(removed)} stores removed, {sum(store.nbytes for store in removed) / 1e6:,.1f} MB")


def _line(store: StoredFeatures) -> str:
    used = time.strftime("%Y-%m-%d", time.localtime(store.used))
    size = f"{store.nbytes / 1e6:,.1f} MB"
    return f"{size:>12}  {store.images:,} images  used {used}  {store.model}  {store.path}"
