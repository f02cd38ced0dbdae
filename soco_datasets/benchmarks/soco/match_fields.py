"""What a pair file of the release says of matches: the shared names and the groups of one concept.

Strict about shape, lenient about names: a name that a view does not show is left out and reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...data.diagnostics import BuildReport
from ...data.json_values import BadFileError, first_names, missing_field, nfc
from ...data.release_types import ConceptGroup


def read_overlap(
    file: str, data: Mapping[str, Any], source: frozenset[str], target: frozenset[str], findings: BuildReport
) -> tuple[str, ...] | None:
    """The names that a pair file lists as visible in both views; None where it lists none and they are derived.

    Args:
        file: for findings.
        data: the pair file.
        source, target: names of the points of each view.
        findings: what is wrong with the list is added.

    Raises:
        BadFileError: it is not a list of names; that is among the findings.
    """
    field = "semantic_overlap"
    names = data.get(field)
    if names is None:
        message = "missing: derived from the names that both views have"
        findings.repair(file, field, "missing_overlap", message, "list the names, [] for none")
        return None
    if _are_shown(names, source) and _are_shown(names, target) and len(set(names)) == len(names):
        return tuple(names)
    if not _is_name_list(names):
        missing_field(file, field, names, "a list of keypoint names", findings)
        raise BadFileError
    both = source & target
    unknown = [name for name in names if nfc(name) not in both]
    if unknown:
        message = f"{first_names(unknown)} not visible in both views: skipped"
        findings.repair(file, field, "unknown_overlap", message, "remove the names, or add the points")
    known = [nfc(name) for name in names if nfc(name) in both]
    doubled = sorted({name for name in known if known.count(name) > 1})
    if doubled:
        message = f"{first_names(doubled)} listed more than once: counted once"
        findings.repair(file, field, "doubled_overlap", message, "list each name once")
    return tuple(dict.fromkeys(known))


def read_groups(
    file: str, data: Mapping[str, Any], source: frozenset[str], target: frozenset[str], findings: BuildReport
) -> tuple[ConceptGroup, ...] | None:
    """The groups of matching points that a pair file lists; None where they are derived. Arguments of `read_overlap`.

    Raises:
        BadFileError: a group is not one; that is among the findings.
    """
    field = "concept_matches"
    groups = data.get(field)
    if groups is None:
        message = "missing: derived from the concepts that both views have"
        findings.repair(file, field, "missing_matches", message, "list the groups, [] for none")
        return None
    if not isinstance(groups, list):
        missing_field(file, field, groups, "a list of groups", findings)
        raise BadFileError
    result = []
    for number, group in enumerate(groups):
        if _is_usual(group, source, target):
            names = tuple(group["src_keypoints"]), tuple(group["trg_keypoints"])
            result.append(ConceptGroup(nfc(group["concept_name"]), *names))
            continue
        where = f"{field}[{number}]"
        sides = (group.get("src_keypoints"), group.get("trg_keypoints")) if isinstance(group, dict) else (None,)
        if not all(_is_name_list(names) for names in sides) or not isinstance(group.get("concept_name"), str):
            message = "a group needs concept_name and the name lists src_keypoints and trg_keypoints"
            findings.error(file, where, "bad_group", message, "write the group again")
            raise BadFileError
        names_source = [nfc(name) for name in group["src_keypoints"]]
        names_target = [nfc(name) for name in group["trg_keypoints"]]
        unknown = [n for n in names_source if n not in source]
        unknown += [n for n in names_target if n not in target]
        if unknown:
            message = f"{first_names(unknown)} not visible in that view: skipped"
            findings.repair(file, where, "unknown_match", message, "remove the names, or add the points")
        kept = ConceptGroup(
            nfc(group["concept_name"]),
            tuple(n for n in names_source if n in source),
            tuple(n for n in names_target if n in target),
        )
        if kept.source and kept.target:
            result.append(kept)
        elif not unknown:
            findings.repair(file, where, "empty_group", "a side of the group is empty: skipped", "remove the group")
    return tuple(result)


def _is_usual(group: Any, source: frozenset[str], target: frozenset[str]) -> bool:
    """Whether a concept group has all it needs and lists points of both views."""
    return (
        type(group) is dict
        and type(group.get("concept_name")) is str
        and _are_shown(group.get("src_keypoints"), source)
        and _are_shown(group.get("trg_keypoints"), target)
        and group["src_keypoints"] != []
        and group["trg_keypoints"] != []
    )


def _are_shown(names: Any, shown: frozenset[str]) -> bool:
    """Whether something is a list of names of a view, as they are spelled there."""
    try:
        return type(names) is list and shown.issuperset(names)
    except TypeError:  # something in it that is no name
        return False


def _is_name_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
