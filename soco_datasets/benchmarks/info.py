"""`soco info`: what a built folder holds, and where that differs from the full benchmark."""

from __future__ import annotations

from typing import Any

import pyarrow.compute as pc

from ..data.diagnostics import SEVERITIES, Diagnostic
from ..data.folder import DatasetFolder
from ..data.manifest import MANIFEST, REBUILD, require_fields
from ..errors import DatasetFolderError
from ..utils.terminal import filled
from .base import SOCO, benchmark_of
from .card import manifest_notes


def queries(folder: DatasetFolder) -> dict[str, int]:
    """Number of query points of each stored pair config and split, "config/split" -> count."""
    return {
        f"{name}/{split}": pc.sum(
            pc.list_value_length(folder.table(name, split, columns=["keypoints"])["keypoints"])
        ).as_py()
        or 0
        for name in folder.configs
        if folder.specs[name].is_pairs
        for split in folder.splits(name)
    }


def describe_findings(folder: DatasetFolder) -> str:
    """What the build found in the source, one line each, as far as the manifest lists them."""
    require_fields(folder.path, folder.manifest, "findings")
    found = folder.manifest["findings"]
    try:
        lines = [str(Diagnostic.from_dict(item)) for item in found["listed"]]
    except ValueError as error:
        raise DatasetFolderError(f"{folder.path / MANIFEST}: {error}. {REBUILD}") from None
    left = sum(sum(rules.values()) for rules in found["counts"].values()) - len(lines)
    if left > 0:
        lines.append(f"and {left:,} more, which the manifest only counts")
    return "\n".join(lines) or "Nothing: every file of the release agreed with every other."


def describe_folder(folder: DatasetFolder, all_pairs: bool = True, width: int | None = None) -> str:
    """The counts as text for the terminal.

    Args:
        folder: to describe.
        all_pairs: count the pairs of the split all too.
        width: columns of the terminal, which prose and the column of names are fitted to; None = any number.
    """
    narrow = width is not None and width < 80
    names, numbers, real_numbers = (36, 7, 11) if narrow else (44, 12, 12)  # columns
    differs = " *" if narrow else "   differs"
    manifest: dict[str, Any] = folder.manifest
    require_fields(folder.path, manifest, "source", "pairs", "toolkit_version", "counts", "findings")
    benchmark = benchmark_of(folder)
    source, origins = manifest["source"], manifest["pairs"]
    is_soco = benchmark.name == SOCO
    within = "; ".join(f"{name}: {origin}" for name, origin in origins.items())
    if is_soco:
        within = f"within: {origins['intra']}; across: {origins['cross']}"
    lines = [
        f"{folder.path}",
        *([] if is_soco else [f"  benchmark     {benchmark.title}: {benchmark.about}"]),
        f"  source        {source['id']} ({source['kind']}{', ' + source['revision'] if source['revision'] else ''})",
        f"  built by      soco-datasets {manifest['toolkit_version']}",
        f"  content hash  {manifest['content_hash'][: 12 if narrow else None]}",
        f"  fixed pairs   {within}",
        "",
    ]
    if "keypoints" not in folder.configs:  # imported questions: nothing that SOCO's counts are of
        rows = {"pictures": manifest["counts"]["images"], **manifest["counts"]["rows"]["lvlm"]}
        return "\n".join([*lines, *(f"  {name:{names}}{count:>{numbers},}" for name, count in rows.items())])
    lines.append(f"  {'count':{names}}{'here':>{numbers}}{benchmark.title:>{real_numbers}}")
    differing = 0
    for check in benchmark.counts(folder, all_pairs):
        about = "~" if check.tolerance else ""
        real = "-" if check.real is None else f"{about}{check.real:,}"
        mark = "" if check.agrees else differs
        differing += not check.agrees
        lines.append(f"  {check.name:{names}}{check.here:>{numbers},}{real:>{real_numbers}}{mark}")
    lines.append("")
    for name, count in queries(folder).items():
        lines.append(f"  {f'queries in {name}':{names}}{count:>{numbers},}")
    found = manifest["findings"]["counts"]
    for severity in SEVERITIES:
        for rule, count in found[severity].items():
            what = {"error": "passed over", "repair": "repaired", "note": "noted"}[severity]
            lines.append(f"  {f'{what}: {rule}':{names}}{count:>{numbers},}")
    lines.append("")
    remarks = [*benchmark.remarks(folder), *(f"Note: {note}" for note in (*benchmark.notes, *manifest_notes(manifest)))]
    lines += [filled(f"  {remark}", width, "  ") for remark in remarks]
    title = benchmark.title
    marked = differs if narrow else ""
    verdict = f"{differing} count(s) differ{marked} from the real {title}: scores on this data are not {title} scores."
    if not differing:
        verdict = f"All counts agree with the real {title}."
    lines.append(filled(f"  {verdict}", width, "  "))
    return "\n".join(lines)
