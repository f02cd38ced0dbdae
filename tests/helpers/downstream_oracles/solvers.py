"""How each kind of oracle case is computed with the functions of the toolkit."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch

from helpers.downstream_oracles.cases import Case, Solver
from helpers.downstream_oracles.inputs import maps_of, number, tensors, weights_of
from helpers.downstream_oracles.training import depth_training, pose_training, segmentation_training
from soco_datasets.downstream import losses, schedules
from soco_datasets.downstream.heads import cuboids, dpt, linear, pyramid, roi_align
from soco_datasets.downstream.zero_shot_tracking import zero_shot_tracks
from soco_datasets.metrics import average_precision3d as ap
from soco_datasets.metrics import boxes3d, depth, knn, navi, normals, pose, segmentation, tracking


def knn_values(case: Case) -> dict[str, Any]:
    bank, labels, queries, targets = (case[name] for name in ("bank", "labels", "queries", "targets"))
    expected = case.expected
    classes = int(number(case, "classes", r"(\d+) classes", int(max(labels.max(), targets.max(initial=0))) + 1))
    temperature = number(case, "temperature", r"temperature ([\d.]+)", knn.TEMPERATURE)
    by_k = expected["k"] if isinstance(expected.get("k"), dict) else {}
    ks = sorted({int(k) for k in (*expected.get("accuracy", {}), *by_k)})
    lists = [np.shape(expected[name])[1] for name in ("neighbours", "similarities") if len(expected.get(name) or [])]
    shown = lists[0] if lists else int(number(case, "k", r"k = (\d+)", 20 if not ks else ks[-1]))
    found = knn.nearest_neighbors(queries, bank, max([*ks, shown]))
    for blocks in ((7, 5), (3, len(bank))):  # however queries and bank are cut
        again = knn.nearest_neighbors(queries, bank, max([*ks, shown]), query_block=blocks[0], bank_block=blocks[1])
        assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))

    def of_k(k: int) -> dict[str, Any]:
        first = knn.Neighbors(found.similarities[:, :k], found.positions[:, :k])
        votes = labels[first.positions]
        scores = knn.class_scores(first.similarities, votes, classes, temperature)
        ranked = knn.ranked_classes(scores, votes)
        accuracy = knn.knn_accuracy(first, labels, targets, [k], classes=classes, temperature=temperature)
        values = {"neighbours": first.positions, "similarities": first.similarities, "scores": scores}
        return {**values, "prediction": ranked[:, 0], "top_classes": ranked, **accuracy["accuracy"][k]}

    overall = knn.knn_accuracy(found, labels, targets, ks or [shown], classes=classes, temperature=temperature)
    accuracy = {str(k): value for k, value in overall["accuracy"].items()}
    values = {"accuracy": accuracy, "best_k": overall["best_k"], "queries": len(targets)}
    return {**of_k(shown), **values, **({"k": {k: of_k(int(k)) for k in by_k}} if by_k else {})}


def confusion_values(table: np.ndarray) -> dict[str, Any]:
    reference, counted = segmentation.mean_iou(table, "reference")
    plain, counted_only = segmentation.mean_iou(table, "classes_only")
    accuracy, pixels = segmentation.pixel_accuracy(table)
    iou = [None if np.isnan(value) else value for value in segmentation.class_iou(table)]
    values = {"confusion_rows": table.sum(axis=1), "confusion_columns": table.sum(axis=0), "confusion": table}
    values |= {"confusion_diagonal": np.diagonal(table), "confusion_sum": table.sum(), "iou": iou}
    values |= {"miou_reference": reference, "classes_counted_reference": counted, "miou": reference}
    values |= {"miou_classes_only": plain, "classes_counted_classes_only": counted_only}
    return {**values, "pixel_accuracy": accuracy, "pixels": pixels}


def miou_values(case: Case) -> dict[str, Any]:
    lengths = [
        len(case.expected[name]) for name in ("iou", "confusion_rows", "confusion_diagonal") if name in case.expected
    ]
    classes = lengths[0] if lengths else int(number(case, "classes", r"labels 0\.\.(\d+)", 150)) + 1
    return confusion_values(segmentation.confusion_table(case["truth"], case["predictions"], classes))


def logits_values(case: Case) -> dict[str, Any]:
    logits = torch.as_tensor(case["logits"])
    if logits.shape[-2:] != case["truth"].shape[-2:]:
        logits = linear.upsampled(logits, tuple(case["truth"].shape[-2:]))
    reference, standard = (
        segmentation.confusion_table(
            case["truth"], segmentation.predicted_labels(logits.numpy(), rule), logits.shape[1]
        )
        for rule in segmentation.RULES
    )
    return {**confusion_values(reference), "miou_standard": segmentation.mean_iou(standard, "classes_only")[0]}


RESIZED = r"to_(\d+)(?:x(\d+))?(?:_(sum|row_\d+|column_\d+))?"


def nearest_values(case: Case) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in case.expected:
        if found := re.fullmatch(RESIZED, name):
            mask = segmentation.resize_nearest(case["mask"], int(found[1]), int(found[2] or found[1]))
            part = found[3] or ""
            at = int(part.split("_")[1]) if "_" in part else 0
            values[name] = mask if not part else mask.astype(np.int64).sum() if part == "sum" else None
            if "_" in part:
                values[name] = mask[at] if part.startswith("row") else mask[:, at]
    return values


def depth_metrics(case: Case) -> dict[str, Any]:
    scores = depth.depth_scores(case["pred"], case["truth"])
    held = depth.valid_depth(case["truth"])
    squares = (case["pred"][held].astype(np.float64) - case["truth"][held]) ** 2
    return {
        **scores,
        "aligned": scores["scale_invariant"],
        "aligned_mean": scores["scale_invariant_mean"],
        "not_this_pooled_rmse": float(np.sqrt(squares.mean())) if len(squares) else None,
    }


def depth_losses(case: Case) -> dict[str, Any]:
    pred, truth = torch.as_tensor(case["pred"]).double(), torch.as_tensor(case["truth"]).double()
    functions = {"silog": losses.silog_loss, "gradient": losses.gradient_loss, "total": losses.depth_loss}
    return {name: finite_or_none(function(pred, truth)) for name, function in functions.items()}


def finite_or_none(value: torch.Tensor) -> float | None:
    return float(value) if torch.isfinite(value) else None


def schedule_values(case: Case) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in case.expected:
        if found := re.fullmatch(r"factor_(\d+)_(\d+(?:\.\d+)?)", name):
            total, warmup = int(found[1]), float(found[2])
            values[name] = [schedules.quarter_cosine(int(s), total, warmup) for s in case["steps"] if s <= total]
    return values


def dpt_values(case: Case) -> dict[str, Any]:
    output = dpt.dpt_forward(weights_of(case), maps_of(case)).numpy()
    values: dict[str, Any] = {"shape": output.shape, "output": output, "output_sum": output.sum()}
    values["output_abs_sum"] = np.abs(output).sum()
    for name in case.expected:
        if found := re.fullmatch(r"output_(\d+)_(row|column)_(\d+)", name):
            image = output[int(found[1])]
            values[name] = image[:, int(found[3])] if found[2] == "row" else image[:, :, int(found[3])]
    return values


def normals_losses(case: Case) -> dict[str, Any]:
    pred, truth, kappa = (torch.as_tensor(case[name]).double() for name in ("pred", "truth", "kappa"))
    valid, uncertainty = torch.as_tensor(case["valid"]), kappa.reshape(len(kappa), *kappa.shape[-2:])
    plain = losses.normals_loss(pred, truth, valid)
    return {
        "plain": finite_or_none(plain),
        "uncertainty": finite_or_none(losses.normals_loss(pred, truth, valid, uncertainty)),
    }


def navi_pairs(case: Case) -> dict[str, Any]:
    expected = case.expected
    keep = int(number(case, "matches_kept", r"the (\d+) most distinct", navi.MATCHES_KEPT))
    named = {float(key) for pair in expected.get("pairs", []) for key in pair.get("recall", {})}
    named |= {float(key) for key in expected.get("recall_all", {})} | {0.02}
    thresholds = sorted(named)
    columns = ("features_0", "features_1", "xyz_0", "xyz_1", "rt01")
    pairs = [
        navi.pair_recall((np.float64(f0), np.float64(f1)), (x0, x1), transform, keep=keep, thresholds=thresholds)
        for f0, f1, x0, x1, transform in zip(*(case[name] for name in columns), strict=True)
    ]
    edges = sorted({float(edge) for name in expected.get("bins", {}) for edge in name.split("-")}) or navi.BIN_EDGES
    summary = navi.recall_summary(pairs, edges, thresholds)
    bins = {
        name: {"pairs": value["pairs"]}
        | {f"recall_{100 * float(t):g}cm": summary["bins"][t][name]["mean"] for t in summary["bins"]}
        for name, value in summary["bins"]["0.02"].items()
    }
    return {"matches_kept": keep, "pairs": pairs, "recall_all": summary["recall_all"], "bins": bins}


def tracking_metrics(case: Case) -> dict[str, Any]:
    tracks = tracking.first_queries(case["points"], case["occluded"])
    values: dict[str, Any] = {"kept": tracks.kept, "queries_t_y_x": tracks.queries}
    for name in case.expected:
        if found := re.fullmatch(r"(first|strided)_(guess|visible)", name):
            hidden = case["predicted_occluded"] if found[2] == "guess" else None
            values[name] = tracking.video_scores(tracks, case["predicted"], hidden, mode=found[1])  # type: ignore[arg-type]
    return values


def pose_angles(case: Case) -> dict[str, Any]:
    truth, guesses = case["truth"], case["guesses"]
    errors = pose.rotation_errors(guesses, truth)
    middles = pose.bin_middles(pose.angle_bins(truth))
    best = pose.pose_scores(pose.rotation_errors(middles, truth))["mean_degrees"]
    values: dict[str, Any] = {"bins": pose.angle_bins(truth), "middles": middles, "errors": errors}
    for name in case.expected:
        if found := re.fullmatch(r"rotations_first_(\d+)", name):
            values[name] = pose.rotations_from_angles(truth[: int(found[1])])
    values["rotations"] = pose.rotations_from_angles(truth)
    return {**values, **pose.pose_scores(errors), "best_possible_mean_degrees": best}


def pose_flips(case: Case) -> dict[str, Any]:
    flipped = pose.mirrored_angles(case["angles"])
    return {"flipped": flipped, "bins": pose.angle_bins(flipped)}


def box_overlaps(case: Case) -> dict[str, Any]:
    one, two = case["a"], case["b"]
    return {"iou": boxes3d.iou3d(one, two), "volume": boxes3d.intersection_volumes(one, two)}


def box_corners(case: Case) -> dict[str, Any]:
    centers = case["centre"] if "centre" in case else case["center"]
    return {"corners": boxes3d.cuboid_corners(centers, case["dimensions"], case["rotation"])}


def cuboid_values(case: Case) -> dict[str, Any]:
    given = tensors(case)
    outputs = cuboids.CuboidOutputs(*(given[name] for name in ("deltas", "depth", "dims", "six", "uncertainty")))
    found = cuboids.decode_cuboids(outputs, given["box"], given["k_net"], given["prior"])
    truth = ("true_pixel", "true_depth", "true_dimensions", "true_rotation")
    parts: dict[str, torch.Tensor] = {}
    overall = None
    if set(truth) <= set(given):
        true = cuboids.Cuboids(*(given[name] for name in truth))
        parts = cuboids.cuboid_losses(found, true, given["k_net"], outputs.uncertainty)
        overall = finite_or_none(cuboids.cuboid_loss(parts)[0])
    values = {
        "pixel": found.pixels,
        "centre": cuboids.cuboid_centers(found.pixels, found.depths, given["k_net"]),
        "dimensions": found.dimensions,
        "rotation": found.rotations,
        "corners": cuboids.corners_of(found, given["k_net"]),
        "confidence": cuboids.confidences(outputs),
        "depth": found.depths,
    }
    regions = [
        {name: value[row].numpy() for name, value in values.items()}
        | {"losses": {name: finite_or_none(value[row]) for name, value in parts.items()}}
        for row in range(len(given["box"]))
    ]
    return {"regions": regions, "total": overall}


def ignored_values(case: Case) -> dict[str, Any]:
    expected = case.expected
    rules = ap.IgnoreRules(**expected.get("settings", {}))
    height = number(case, "image_height", r"(\d+) pixels high", 480)
    boxes = [{**expected.get("base", {}), **change} for change in expected["changes"]]
    return {"ignored": [ap.is_ignored(box, height, rules) for box in boxes]}


def ap3d_values(case: Case) -> dict[str, Any]:
    def depths(kind: str) -> np.ndarray:
        return case[f"{kind}_depth"] if f"{kind}_depth" in case else case[f"{kind}_corners"][..., 2].mean(axis=1)

    found = ap.Detections(
        case["found_image"], case["found_category"], case["found_score"], case["found_corners"], depths("found")
    )
    true = ap.TrueBoxes(
        case["truth_image"], case["truth_category"], case["truth_ignore"], case["truth_corners"], depths("truth")
    )
    named = re.search(r"categories ((?:\d+ [\w ]+?(?:, | and )?)+)(?:;|\.|$)", case.note)
    names = {int(key): name for key, name in re.findall(r"(\d+) (\w+)", named[1])} if named else {}
    ids = {int(key) for key in case.expected.get("per_class_and_threshold", {})} | set(names)
    categories = sorted(ids or {int(one) for one in (*found.category, *true.category)})
    images = case["images"] if "images" in case else np.concatenate([found.image, true.image])
    result = ap.average_precision_3d(found, true, images, categories)
    per_class = {names.get(key, str(key)): value for key, value in result["per_class"].items()}
    per_class |= {str(key): value for key, value in result["per_class"].items()}
    shares = {str(key): value for key, value in result["per_class_and_threshold"].items()}
    return {**result, "per_class": per_class, "per_class_and_threshold": shares}


def roi_values(case: Case) -> dict[str, Any]:
    cells = int(number(case, "out", r"(\d+) x \d+ cells", roi_align.CELLS))
    scale = number(case, "scale", r"scale ([\d.]+\d)", 0.25)
    feature, boxes = torch.as_tensor(case["feature"]).double(), torch.as_tensor(case["boxes"]).double()
    return {"regions": roi_align.roi_align(feature, boxes, scale, cells).numpy()}


def pyramid_values(case: Case) -> dict[str, Any]:
    levels = pyramid.pyramid_forward(weights_of(case), maps_of(case))
    return {name: value.numpy() if case_batched(case, name) else value[0].numpy() for name, value in levels.items()}


def case_batched(case: Case, name: str) -> bool:
    return np.ndim(case.expected.get(name)) == 4


def zero_shot_values(case: Case) -> dict[str, Any]:
    return {"tracks": zero_shot_tracks(case["features"], case["queries_t_y_x"])}


def decoding_values(case: Case) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if "codes" in case:
        values["depth_m"] = navi.depth_from_codes(case["codes"])
    if "quaternions" in case:
        values["rotations"] = navi.rotations_from_quaternions(case["quaternions"])
    return values


def bin_values(case: Case) -> dict[str, Any]:
    edges = case["edges"].tolist() if "edges" in case else navi.BIN_EDGES
    return {"bins": navi.bin_means(case["angles"], case["values"], edges)}


def solver(folder: str, inputs: str, gives: str, compute: Any) -> Solver:
    """`inputs` by name, `gives` as a pattern of the names of expected values."""
    return Solver(folder, frozenset(inputs.split()), lambda name: re.fullmatch(gives, name) is not None, compute)


SOLVERS = (
    solver("knn", "bank labels queries targets", r"accuracy|best_k|neighbours|scores|similarities|k|prediction|top[15]", knn_values),
    solver("segmentation", "predictions truth", r"confusion.*|iou|miou.*|pixel_accuracy|pixels|classes_counted.*", miou_values),
    solver("segmentation", "logits truth", r"confusion.*|iou|miou.*|pixel_accuracy|pixels", logits_values),
    solver("segmentation", "mask", RESIZED, nearest_values),
    solver("segmentation", "features masks weight bias order", r"losses|miou.*|weight|bias|best_epoch", segmentation_training),
    solver("depth", "logits", r"depth", lambda case: {"depth": dpt.depth_from_bins(torch.as_tensor(case["logits"]).double()).numpy()}),
    solver("depth", "pred truth", r"silog|gradient|total", depth_losses),
    solver("depth", "pred truth", r"aligned.*|alignment|scale_.*|not_this_pooled_rmse", depth_metrics),
    solver("depth", "steps", r"factor_.*", schedule_values),
    solver("depth", "map_0 truth order", r"losses|norms", depth_training),
    solver("depth", "map_0", r"output.*|shape", dpt_values),
    solver("normals", "pred truth valid kappa", r"plain|uncertainty", normals_losses),
    solver("normals", "pred truth valid", r"images|mean", lambda case: normals.normal_scores(case["pred"], case["truth"], case["valid"])),
    solver("navi", "features_0 features_1 xyz_0 xyz_1 rt01", r"pairs|bins|recall_all", navi_pairs),
    solver("navi", "angles values", r"bins", bin_values),
    solver("navi", "masks", r"crops", lambda case: {"crops": [navi.square_crop(mask) if mask.any() else None for mask in case["masks"]]}),
    solver("navi", "", r"depth_m|rotations", decoding_values),
    solver("tracking", "points occluded predicted", r"kept|queries_t_y_x|(first|strided)_(guess|visible)", tracking_metrics),
    solver("tracking", "features queries_t_y_x", r"tracks", zero_shot_values),
    solver("pose", "truth guesses", r"errors|bins|middles|below.*|.*_degrees.*|rotations.*", pose_angles),
    solver("pose", "features angles weight bias order", r"losses|rates|labels|bins|errors|.*_norm|below.*", pose_training),
    solver("pose", "angles", r"flipped|bins", pose_flips),
    solver("detection3d", "a b", r"iou|volume", box_overlaps),
    solver("detection3d", "dimensions rotation", r"corners", box_corners),
    solver("detection3d", "k_net box deltas", r"regions|total", cuboid_values),
    solver("detection3d", "found_score found_corners truth_corners", r"AP.*|near|medium|far|per_class.*", ap3d_values),
    solver("detection3d", "feature boxes", r"regions", roi_values),
    solver("detection3d", "map_0", r"p[2-5]", pyramid_values),
    solver("detection3d", "", r"ignored", ignored_values),
)  # fmt: skip
