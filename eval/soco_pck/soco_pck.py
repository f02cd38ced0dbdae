"""PCK on SOCO pairs as a metric of Hugging Face `evaluate`; the numbers come from `soco_datasets.correspondence`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import datasets
import evaluate
import numpy as np

from soco_datasets.config import alpha_key, check_alphas, check_normalizer, check_reductions
from soco_datasets.errors import PredictionsError, UsageError, unknown_name
from soco_datasets.geometry import Convention, check_convention
from soco_datasets.metrics.aggregation import PairGroups, aggregate
from soco_datasets.metrics.pck import keypoint_errors, normalisers

_DESCRIPTION = """\
PCK (percentage of correct keypoints) on SOCO pairs: the share of query points whose predicted place in the target image
lies nearer to a valid target point than alpha times the longest side of the target's box. One valid target per query
gives SOC and Cross-SOC, several give CC, where the nearest counts. Scores are fractions, 0..1.
"""

_INPUTS = """
Args:
    predictions (list of list of [x, y]): for each pair one point per query, in pixels of the stored target image.
    references (list of dict, dict of lists, or datasets.Dataset): pair rows of load_dataset("soco", "soc" | "cc" |
        "cross_soc" | "cross_cc"). Used are pair_id, pair_group, target_size, target_bbox, keypoints and target_points;
        all other columns are ignored and no image is decoded.
    alphas (list of float): thresholds, fractions of the normaliser. Default 0.1, 0.05, 0.02.
    reductions (list of str): "pair" = mean over the pairs of a category, "keypoint" = pooled within a category; both
        then average over categories. Default both.
    normaliser (str): "bbox" = longest side of the target's box (of the image where the box is null), "image" = of the
        image. Default "bbox".
    convention (str): "reference" = the released protocol, "centered" = the corrected one. Default "reference".
    image_size (int): the side of the network input, in pixels, whose integer frame "reference" truncates targets in
        (798 for a requested 800 with patch 14). Default None: targets stay exact.
    supercategories (dict): category -> supercategory; adds "per_supercategory". Default None.
Returns:
    dict: "pck@A" (reduction "pair") and "pck_keypoint@A" for each alpha A: the mean over categories, 0..1, None where
    there is nothing to score; "pairs" (with a query), "keypoints" and "categories" behind them; "per_category": the
    same for each category; "per_supercategory" where asked for.
Examples:
    >>> import evaluate, soco_datasets
    >>> metric = evaluate.load("soco_pck")
    >>> pair = {"pair_id": "intra/car/00001-car_1-car_2", "pair_group": "car", "keypoints": ["left_wheel", "roof"],
    ...         "target_size": [200, 100], "target_bbox": [0, 0, 100, 80], "target_points": [[[50, 60]], [[90, 10]]]}
    >>> scores = metric.compute(predictions=[[[55, 60], [20, 10]]], references=[pair], alphas=[0.1])
    >>> scores["pck@0.1"], scores["keypoints"]
    (0.5, 2)
"""

_CITATION = """\
@article{soco,
  title = {SOCO: Semantic Object Correspondence},
  journal = {arXiv preprint arXiv:2605.31597},
}
"""

_POINT = datasets.List(datasets.Value("float64"))
_REFERENCE = datasets.Features(
    {
        "pair_id": datasets.Value("string"),
        "pair_group": datasets.Value("string"),
        "target_size": datasets.List(datasets.Value("int32")),
        "target_bbox": _POINT,
        "keypoints": datasets.List(datasets.Value("string")),
        "target_points": datasets.List(datasets.List(_POINT)),
    }
)


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _INPUTS)
class SocoPck(evaluate.Metric):
    """PCK over pair rows of the SOCO dataset."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": datasets.List(_POINT), "references": _REFERENCE}),
            reference_urls=["https://arxiv.org/abs/2605.31597"],
        )

    def add_batch(self, *, predictions: Any = None, references: Any = None, **others: Any) -> None:
        """Add the predictions of some pairs.

        Args:
            predictions: for each pair its points [x, y] in pixels of the stored target image: lists, arrays or tensors
                of any device and type.
            references: rows of a pair config: a list of rows, a dict of columns (`dataset[:8]`) or a Dataset, whose
                format and transform are ignored.
            others: no further inputs are known.
        """
        self._check_given(predictions, references, others)
        rows, points = _rows(references), list(predictions)
        if len(rows) != len(points):
            raise UsageError(f"There are {len(points)} predictions for {len(rows)} references; give one each per pair.")
        start = len(self)
        rows = [_reference(row, start + index) for index, row in enumerate(rows)]
        points = [
            _points(given, row, start + index) for index, (given, row) in enumerate(zip(points, rows, strict=True))
        ]
        super().add_batch(predictions=points, references=rows)

    def add(self, *, prediction: Any = None, reference: Any = None, **others: Any) -> None:
        """Add the predictions of one pair; `predictions` and `references` are accepted as names too."""
        for name, given in (("prediction", prediction), ("reference", reference)):
            if given is not None and f"{name}s" in others:
                raise UsageError(f"Give {name} or {name}s, not both.")
        prediction = others.pop("predictions", None) if prediction is None else prediction
        reference = others.pop("references", None) if reference is None else reference
        self._check_given(prediction, reference, others)
        row = _reference(reference, len(self))
        super().add(prediction=_points(prediction, row, len(self)), reference=row)

    def _check_given(self, predictions: Any, references: Any, others: Mapping[str, Any]) -> None:
        if others:
            raise unknown_name("input of the metric", next(iter(others)), ("predictions", "references"))
        if predictions is None or references is None:
            raise UsageError("Give both predictions (points) and references (pair rows of the dataset).")

    def _compute(
        self,
        predictions: Sequence[Sequence[Sequence[float]]],
        references: Sequence[Mapping[str, Any]],
        alphas: Sequence[float] = (0.1, 0.05, 0.02),
        reductions: Sequence[str] = ("pair", "keypoint"),
        normaliser: str = "bbox",
        convention: Convention = "reference",
        image_size: int | None = None,
        supercategories: Mapping[str, str | None] | None = None,
    ) -> dict[str, Any]:
        """The scores of all pairs added, see the card for the keys."""
        alphas, reductions = check_alphas(alphas), check_reductions(reductions)
        check_normalizer(normaliser)
        check_convention(convention)
        if image_size is not None and (not isinstance(image_size, int) or image_size < 1):
            raise UsageError(f"image_size must be a positive whole number of pixels or None, got {image_size!r}.")
        _check_distinct(references)
        counts = [len(row["keypoints"]) for row in references]
        owner = np.repeat(np.arange(len(references)), counts)
        targets = [points for row in references for points in row["target_points"]]
        sizes = np.array([row["target_size"] for row in references], dtype=np.float64).reshape(-1, 2)
        boxes = [[np.nan] * 4 if row["target_bbox"] is None else row["target_bbox"] for row in references]
        errors = keypoint_errors(
            [point for points in predictions for point in points],
            [point for points in targets for point in points],
            np.cumsum([0, *(len(points) for points in targets)]),
            sizes.max(axis=1, initial=0)[owner],
            normalisers(boxes, sizes, normaliser)[owner],
            convention=convention,
            size=image_size,
        )
        metrics = aggregate(
            errors,
            owner,
            PairGroups([row["pair_group"] for row in references], supercategories=supercategories or {}),
            alphas=alphas,
            reductions=reductions,
        )
        return _flat(metrics, alphas, with_supercategories=supercategories is not None)


def _rows(references: Any) -> list[Any]:
    """The rows of any form of references; only the columns used are read, so that no image is decoded."""
    if hasattr(references, "select_columns"):
        stored = references.with_format(None)  # formats and transforms are for the model
        known = stored.column_names
        return list(stored.select_columns([name for name in _REFERENCE if known is None or name in known]))
    if not isinstance(references, Mapping):
        return list(references)
    columns = {name: references[name] for name in _REFERENCE if name in references}
    if not columns or any(isinstance(column, str) for column in columns.values()):
        raise UsageError("references is one row; use add(prediction=..., reference=...) or give a list of rows.")
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) != 1:
        raise UsageError(f"The columns of references differ in length: {lengths}.")
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _reference(row: Any, index: int) -> dict[str, Any]:
    """One reference with the columns used, checked."""
    if not isinstance(row, Mapping):
        raise UsageError(f"references[{index}] must be a pair row of the dataset (a dict), got {type(row).__name__}.")
    missing = [name for name in _REFERENCE if name not in row]
    if missing:
        raise UsageError(f"references[{index}] ({row.get('pair_id')}) lacks {', '.join(missing)}; is it a pair config?")
    where = f"references[{index}] ({row['pair_id']})"
    for name in ("pair_id", "pair_group"):
        if not isinstance(row[name], str):
            raise UsageError(f"{where}: {name} must be a string, got {row[name]!r}.")
    targets = [_array(points, f"{where}: target_points[{n}]") for n, points in enumerate(row["target_points"])]
    empty = [name for name, points in zip(row["keypoints"], targets, strict=False) if not len(points)]
    if len(targets) != len(row["keypoints"]) or empty:
        raise UsageError(
            f"{where}: {len(row['keypoints'])} keypoints but {len(targets)} lists of target points"
            + (f", empty for {', '.join(empty)}" if empty else "")
            + "; every query needs one or more valid targets."
        )
    size, box = _unwrapped(row["target_size"]), _unwrapped(row["target_bbox"])
    try:
        normalisers([[np.nan] * 4 if box is None else box], [size])
    except (UsageError, TypeError, ValueError) as error:
        raise UsageError(f"{where}: target_size {size!r} or target_bbox {box!r} is malformed: {error}") from None
    return {
        "pair_id": row["pair_id"],
        "pair_group": row["pair_group"],
        "target_size": [int(value) for value in size],
        "target_bbox": None if box is None else [float(value) for value in box],
        "keypoints": list(row["keypoints"]),
        "target_points": [points.tolist() for points in targets],
    }


def _points(given: Any, row: Mapping[str, Any], index: int) -> list[list[float]]:
    """The predicted points of one pair, checked: one finite [x, y] for each of its queries."""
    where = f"predictions[{index}] ({row['pair_id']})"
    points = _array(given, where)
    if len(points) != len(row["keypoints"]):
        raise PredictionsError(
            f"{where} has {len(points)} point(s) but the pair has {len(row['keypoints'])} queries "
            f"({', '.join(row['keypoints'])}); give one point [x, y] for each, in that order."
        )
    return points.tolist()


def _array(points: Iterable[Any], where: str) -> np.ndarray:
    try:
        values = np.asarray(_unwrapped(points))
        if np.iscomplexobj(values):
            raise TypeError("they are complex numbers")
        array = values.astype(np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise PredictionsError(
            f"{where} is not a list of points [x, y] that NumPy can read ({error}). Give numbers, arrays or tensors; "
            "of a tensor of another library, its values on the CPU as floats."
        ) from error
    array = array.reshape(0, 2) if array.size == 0 else array
    if array.ndim != 2 or array.shape[1] != 2:
        raise PredictionsError(f"{where} must be a list of points [x, y], got an array of shape {array.shape}.")
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array).all(axis=1)).argmax())
        raise PredictionsError(f"{where}: point {bad} is not finite: {array[bad].tolist()}.")
    return array


def _unwrapped(values: Any) -> Any:
    """Tensors of torch, wherever they are and of any type, as float64 arrays; also inside lists."""
    if hasattr(values, "detach"):
        tensor = values.detach().cpu()
        return np.asarray(tensor if tensor.is_complex() else tensor.double())
    return [_unwrapped(value) for value in values] if isinstance(values, list | tuple) else values


def _check_distinct(references: Sequence[Mapping[str, Any]]) -> None:
    seen: dict[str, int] = {}
    for index, row in enumerate(references):
        first = seen.setdefault(row["pair_id"], index)
        if first != index:
            raise PredictionsError(f"Pair {row['pair_id']} was given twice, as rows {first} and {index}.")


def _flat(metrics: Mapping[str, Any], alphas: Sequence[float], with_supercategories: bool) -> dict[str, Any]:
    """`aggregate`'s result as flat keys, overall and for each category."""

    def row(part: str, name: str | None = None) -> dict[str, Any]:
        scores: dict[str, Any] = {}
        for reduction, by_alpha in metrics.items():
            prefix = "pck" if reduction == "pair" else f"pck_{reduction}"
            for alpha in alphas:
                value = by_alpha[alpha_key(alpha)][part]
                value = value if name is None else value[name]
                scores[f"{prefix}@{alpha_key(alpha)}"] = value["pck"]
        counts = {key: value[key] for key in ("pairs", "keypoints", "categories") if key in value}
        return {**scores, **counts}

    some = next(iter(next(iter(metrics.values())).values()))
    result = {**row("overall"), "per_category": {name: row("per_category", name) for name in some["per_category"]}}
    if with_supercategories:
        result["per_supercategory"] = {name: row("per_supercategory", name) for name in some["per_supercategory"]}
    return result
