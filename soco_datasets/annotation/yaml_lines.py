"""YAML with line numbers: plain values, and where each of them stands, so that an error can name line and field."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..errors import SocoError

_DEEPEST = 20

Path = tuple[str | int, ...]


class ProjectError(SocoError, ValueError):
    """A project file that is wrong: every problem with its line and field is in the message."""

    exit_code = 2


@dataclass
class LinedYaml:
    """A parsed file.

    Attributes:
        value: plain dicts, lists and scalars.
        lines: path of keys and indices -> line number, from 1.
        problems: what was found wrong, in the order of finding.
    """

    value: Any
    lines: dict[Path, int]
    problems: list[str] = field(default_factory=list)

    def report(self, path: Path, message: str) -> None:
        """Note a problem with a field; the line is that of the field or of the nearest parent that is there."""
        known = next((path[:end] for end in range(len(path), -1, -1) if path[:end] in self.lines), ())
        self.problems.append(f"line {self.lines.get(known, 1)}: {field_name(path) or 'the file'}: {message}")


def field_name(path: Path) -> str:
    """
    >>> field_name(("categories", 0, "keypoints", 2, "name"))
    'categories[0].keypoints[2].name'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def parse_yaml(text: str, label: str) -> LinedYaml:
    """Parse YAML of plain values only.

    Raises:
        ProjectError: not YAML, nested too deep, or with an alias that holds itself.
    """
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ProjectError(f"{label}{line}: not valid YAML ({getattr(error, 'problem', None) or error}).") from None
    parsed = LinedYaml(None, {(): 1})
    if root is not None:
        parsed.value = _plain(root, (), parsed, label)
    return parsed


def _plain(node: Any, path: Path, parsed: LinedYaml, label: str) -> Any:
    import yaml

    if len(path) > _DEEPEST:
        raise ProjectError(f"{label}, line {node.start_mark.line + 1}: nested too deep.")
    parsed.lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            parsed.lines[(*path, key)] = key_node.start_mark.line + 1
            if key in found:
                parsed.report((*path, key), "given twice; remove one of them")
            found[key] = _plain(value_node, (*path, key), parsed, label)
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, index), parsed, label) for index, item in enumerate(node.value)]
    try:
        return yaml.SafeLoader("").construct_object(node)
    except (yaml.YAMLError, ValueError):
        parsed.report(path, f"cannot be read ({node.value!r}); put it in quotes")
        return None
