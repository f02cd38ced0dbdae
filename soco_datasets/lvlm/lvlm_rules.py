"""What a leaderboard asks of records of vision-language models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..data.questions.generation import SETTINGS
from ..data.questions.prompts import DEFAULT_TEMPLATE
from ..records.ranking import OVERALL, Rules
from .answers import PARSERS

LVLM_TASKS = {f"lvlm_{setting}": setting for setting in SETTINGS}
_BASELINE = "baseline"  # `kind` of a model that is not a language model


@dataclass(frozen=True)
class LvlmRules(Rules):
    """The rules. The defaults are SOCO's.

    Attributes:
        tasks: that a submission must have; a setting that is present must be complete.
        parser: whose circular accuracy is ranked: "paper", which reads as the paper's scorer does, or "strict".
        template_hash: of the wording; "" = any.
        marker, marker_color: of the source's marker.
    """

    tasks: tuple[str, ...] = ()
    parser: str = "paper"
    template_hash: str = DEFAULT_TEMPLATE.hash
    marker: str = "arrow"
    marker_color: str = "red"

    def __post_init__(self) -> None:
        if not set(self.tasks) <= set(LVLM_TASKS) or self.parser not in PARSERS:
            raise ValueError("tasks" if self.parser in PARSERS else "parser")

    @property
    def measure(self) -> str:
        return f"circular accuracy in percent (parser {self.parser})"

    @property
    def advice(self) -> str:
        return (
            f"Ask every question on that dataset with its markers: soco lvlm run --marker {self.marker} --marker-color "
            f"{self.marker_color}, the same command again until nothing is unanswered, then soco lvlm score --out"
        )

    def violations(self, record: Any) -> list[str]:
        found = []
        settings = record.protocol["settings"]
        if missing := [task for task in self.tasks if LVLM_TASKS[task] not in settings]:
            found.append(f"it lacks the task(s) {', '.join(missing)}")
        for setting, counts in record.counts.items():
            if counts["unanswered"]:
                left_out = (record.left_out or {}).get(setting, 0)
                found.append(
                    f"{setting} is incomplete: {left_out:,} of {counts['groups']:,} questions lack an answer to an "
                    f"ordering ({counts['unanswered']:,} of {counts['rows']:,} rows)"
                )
        if record.model.get("kind") != _BASELINE:
            found += [reason for name, asked in settings.items() for reason in self._wording(name, asked)]
        if self.parser not in record.parsers:
            found.append(f"it lacks the parser {self.parser!r}")
        return found

    def _wording(self, setting: str, asked: Mapping[str, Any]) -> Iterable[str]:
        stated = asked.get("template_hash")
        if self.template_hash and stated != self.template_hash:
            yield (
                f"{setting} was asked in another wording (template {asked.get('template')!r}, hash "
                f"{str(stated)[:12]}), the leaderboard's has the hash {self.template_hash[:12]}"
            )
        markers = asked.get("markers")
        if markers is not None and markers != {"shape": self.marker, "color": self.marker_color}:
            yield (
                f"{setting} was asked with the marker {markers.get('color')} {markers.get('shape')}, the "
                f"leaderboard's is {self.marker_color} {self.marker}"
            )

    def score(self, record: Any, task: str, subset: str) -> float | None:
        """Circular accuracy of a setting in percent with four decimals."""
        found = record.parsers.get(self.parser, {}).get("settings", {}).get(LVLM_TASKS[task])
        if found is None:
            return None
        part = found[OVERALL] if subset == OVERALL else found["per_supercategory"].get(subset)
        return None if part is None or part["circular"] is None else round(100 * part["circular"], 4)
