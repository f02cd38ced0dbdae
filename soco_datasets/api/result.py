"""`Result`: what an evaluation gives, with everything that one does next: tables, charts, comparison, report, files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..benchmarks.base import SOCO
from ..config import alpha_key
from ..data.folder import DatasetFolder
from ..errors import PredictionsError, UsageError
from ..records.compare import compare_predictions, read_side
from ..records.error_analysis import ALPHA
from ..records.evaluation import EvaluationResult, write_evaluation, write_record
from ..records.intervals import RESAMPLES
from ..records.prediction_errors import prediction_errors
from ..records.result_files import result_name
from ..reporting.terminal_summary import summary_html, summary_text
from ..utils.files import writable_folder
from ..utils.paths import local_path
from .result_comparison import ResultComparison
from .result_plots import ResultPlots

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("model", "data", "task", "level", "group", "reduction", "alpha", "pck", "low", "high", "n", "pairs")


class Result:
    """What one model scored on one dataset. `print(result)` shows its table of scores, as `soco evaluate` does.

    Attributes:
        record: every number with everything needed to trust and repeat it; it is what the JSON file holds.
        table: the predictions (Arrow), one row per query; None of the split `all`, which keeps none.
        data: the dataset, where it is open; None of a result that was loaded.
        name: stem of its files.
        path: its record, where it was written or read; None = nowhere yet.
    """

    def __init__(
        self,
        record: EvaluationResult,
        table: pa.Table | None = None,
        *,
        data: DatasetFolder | None = None,
        name: str | None = None,
        path: Path | None = None,
    ) -> None:
        self.record, self.table, self.data, self.path = record, table, data, path
        self.name = name or result_name(record.model)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Result:
        """Read a record and, where they are beside it, its predictions.

        Raises:
            PredictionsError: no such record, or predictions of another evaluation beside it.
        """
        place = local_path(path)
        record = EvaluationResult.read(place)
        stem = place.name.removesuffix(".json").removesuffix(".all")
        has_predictions = place.with_name(f"{stem}.predictions.parquet").is_file() and record.split != "all"
        return cls(record, read_side(place) if has_predictions else None, name=stem, path=place)

    def save(self, out: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the record, and its predictions beside it, into a folder.

        Args:
            out: the folder, made where it is missing.
            overwrite: replace a result of another run; one of the very same run is replaced (and logged) without it.

        Returns:
            The record's path, `<name>.json`; that of the split `all` is `<name>.all.json`.

        Raises:
            UsageError: a result of another run has the name.
            SocoError: the folder cannot be written.
        """
        self.path = self._write(writable_folder(out), overwrite)
        return self.path

    def _write(self, folder: Path, overwrite: bool = False, checked: bool = False) -> Path:
        how = {"overwrite": overwrite, "checked": checked}
        if self.table is not None:
            return write_evaluation(folder, self.table, self.record, self.name, **how)[0]
        if self.record.split != "all":
            raise PredictionsError(f"{self!r} was loaded without its predictions, so it cannot be saved whole.")
        return write_record(folder, self.record, self.name, **how)

    @property
    def split(self) -> str:
        """ "test", or "all", whose results keep no predictions; the name of another stored split."""
        return self.record.split

    def to_pandas(self) -> pd.DataFrame:
        """Every score as one row of a tidy table.

        Columns: `model`, `data`, `task`; `level` ("overall", "supercategory" or "category") and `group`, which one;
        `reduction`, `alpha`; `pck`, a fraction 0..1, and the ends `low` and `high` of its 95 % interval, NaN where
        there is nothing to score; `n` queries and `pairs` behind it.
        """
        import pandas as pd

        place = {"model": self.record.model["name"], "data": self.record.dataset["id"]}
        frame = pd.DataFrame([{**place, **row} for row in self.record.rows()])
        frame = frame.rename(columns={"name": "group", "keypoints": "n"})
        numbers = ["pck", "low", "high"]
        frame[numbers] = frame[numbers].astype(float)
        return frame[list(_COLUMNS)]

    def flat(self, *, groups: bool = False) -> dict[str, float]:
        """The scores as one flat mapping for any logger: `{"soco/soc/pck@0.1": 0.41, ...}`, fractions 0..1.

        Args:
            groups: also each supercategory, "soco/soc/animal/pck@0.1".

        Scores are of the headline reduction ("pair" where it was computed); scores without any query are left out.
        """
        reduction, _ = self.record.main_metric()
        benchmark = str(self.record.dataset.get("benchmark", SOCO))
        found: dict[str, float | None] = {}
        for task, by_reduction in self.record.metrics.items():
            for alpha in map(alpha_key, self.record.protocol.scoring.alphas):
                part = by_reduction[reduction][alpha]
                scores = {f"{benchmark}/{task}": part["overall"]}
                if groups:
                    scores |= {f"{benchmark}/{task}/{name}": value for name, value in part["per_supercategory"].items()}
                found |= {f"{name}/pck@{alpha}": score["pck"] for name, score in scores.items()}
        return {name: float(value) for name, value in found.items() if value is not None}

    @property
    def predictions(self) -> pd.DataFrame:
        """One row per query with `error`, `hit` at alpha 0.1 and `kind`, see `prediction_errors`.

        Raises:
            UsageError: the result has no predictions.
        """
        frame: pd.DataFrame = self.errors().to_pandas()
        return frame

    def errors(self, alpha: float = ALPHA) -> pa.Table:
        """`prediction_errors` of the result: its predictions as an Arrow table, at any threshold."""
        return prediction_errors(self._needed_table(), alpha=alpha)

    @property
    def plot(self) -> ResultPlots:
        """Every `plot_*` of `soco_datasets.reporting.plots` as a method: `result.plot.categories("soc")`."""
        return ResultPlots(self)

    def compare(
        self, other: Result | str | os.PathLike[str], *, resamples: int = RESAMPLES, seed: int = 0
    ) -> ResultComparison:
        """`other` minus this result on the same pairs, with paired intervals.

        Args:
            other: a result of the same data and protocol, or the path of its record.
            resamples: of the images.
            seed: of the resamples.

        Raises:
            UsageError: other data, protocol or queries, or a result without predictions.
        """
        if not isinstance(other, Result | str | os.PathLike):
            raise UsageError(f"other must be a Result or the path of a record, got {type(other).__name__}.")
        if not isinstance(other, Result):
            other = Result.load(other)
        sides = self._needed_table(), other._needed_table()
        return ResultComparison(compare_predictions(*sides, resamples=resamples, seed=seed))

    def report(
        self,
        out: str | os.PathLike[str],
        *others: Result | str | os.PathLike[str],
        data: Any = None,
        overwrite: bool = False,
    ) -> Path:
        """Write the report, one HTML page and its tables, into a folder; gives the page. Needs the extra `report`.

        Args:
            out: the folder, in which a report of these or fewer results may be.
            others: further results on the page, or paths of their records.
            data: the dataset, for pictures; None = the one that was evaluated, where it can be found.
            overwrite: replace a report of other results, and whatever else is in the way.

        Raises:
            UsageError: results that cannot be compared, `data` that is not their dataset, or a report of other results
                in the folder.
        """
        from ..reporting.write_report import write_report

        data = self.data if data is None else data
        with tempfile.TemporaryDirectory() as temporary:
            records = []
            for number, result in enumerate([self, *others]):
                records.append(result._write(Path(temporary, str(number))) if isinstance(result, Result) else result)
            return write_report(records, out, data, overwrite=overwrite)[0]

    def __repr__(self) -> str:
        return f"<Result {self.record.model['name']} on {self.record.dataset['id']}: {self.record.headline}>"

    def __str__(self) -> str:
        return summary_text(self.record)

    def _repr_html_(self) -> str:
        return summary_html(self.record)

    def _needed_table(self) -> pa.Table:
        if self.table is None:
            raise UsageError(
                f"{self!r} has no predictions: an evaluation of all pairs keeps none, or none are beside it."
            )
        return self.table
