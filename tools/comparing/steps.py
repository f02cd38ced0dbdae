"""What a record consists of: commands of `soco` and Python snippets, in stages that build on each other.

All run in one folder and name everything by relative paths, so that no path of the host enters a result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SIZE = "140"  # a multiple of the patch of the tiny model; both models share it, so that they can be compared
TINY, SIFT, ORACLE_MODEL = "models/tiny", "dense_sift", "models/dinov2_tiny_p14"
MODELS = {"tiny": TINY, "sift": SIFT}
STEMS = {"tiny": "tiny", "sift": "dense_sift"}  # what `soco evaluate` names files after
DATA = ("mini", "oracle", "real")
EVALUATED_BY_ALL = {
    "standard": ("--reductions", "pair,keypoint,image"),
    "centered": ("--convention", "centered", "--alphas", "0.2,0.1,0.05,0.01"),
    "paper": ("--protocol", "paper"),
    "all": ("--split", "all", "--tasks", "cc,soc,cross_cc,cross_soc,soc_soft,soc_geo,cross_soc_geo"),
}
VARIANTS = {
    "layers": ("--layers", "0,2,3"),
    "quarters": ("--layers", "quarters", "--norm", "final"),
    "layer_norm": ("--layer", "1", "--norm", "final"),
    "upsample": ("--upsample", "2", "--upsample-mode", "bicubic"),
    "statistics": ("--statistics", "clip"),
    "bf16": ("--dtype", "bf16"),
    "valid_area": ("--valid-area", "--tasks", "soc,soc_soft,soc_geo"),
    "image_normaliser": ("--normaliser", "image", "--protocol", "paper"),
    "soft_whole": ("--tasks", "cc_soft,soc_soft", "--soft-window", "0", "--soft-beta", "0.1"),
    "soft_centered": ("--tasks", "soc_soft,cross_soc_soft", "--soft-window", "3", "--convention", "centered"),
    "fast": ("--protocol", "fast"),
    "no_store": ("--store", "none"),
    "disk_store": ("--store", "disk", "--store-dir", "features"),
    "little_memory": ("--store", "memory", "--memory-budget", "300MB"),
    "workers": ("--workers", "1", "--skip-bad", "--batch-size", "3"),
    "all_centered": ("--split", "all", "--convention", "centered", "--valid-area", "--normaliser", "image"),
    "all_paper": ("--split", "all", "--protocol", "paper", "--reductions", "pair,keypoint,image"),
}


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        name: of its facts, unique in a record.
        stage: steps of a stage run side by side, after those of all stages before.
        command: arguments of `soco`; or (snippet, arguments...) where `snippet` is set.
        keeps: files and folders whose content is kept as facts.
        prints: what stdout is: "text", "json" or "csv".
        snippet: run a function of `snippets` instead of `soco`.
    """

    name: str
    stage: int
    command: tuple[str, ...]
    keeps: tuple[str, ...] = ()
    prints: str = "text"
    snippet: bool = False


def all_steps(shared: Path, old: str) -> list[Step]:
    """Every step of a record.

    Args:
        shared: the folder that holds data/oracle and data/real_sample.
        old: the files of the record whose data, records and answers are read again; absolute.
    """
    return [
        *_builds(shared / "data"),
        *_loads(),
        *_evaluations(),
        *_variants(),
        *_results(),
        *_questions(),
        *_old_files(old),
        *_others(shared / "data"),
    ]


def _builds(data: Path) -> Iterator[Step]:
    sources = {
        "mini": ("mini",),
        "oracle": (str(data / "oracle" / "SOCOv1"),),
        "real": (str(data / "real_sample"),),
        "mini_parquet": ("mini", "--format", "parquet", "--max-shard-size", "300KB"),
        "stress": (str(data / "oracle" / "SOCOv1_stress"), "--skip-bad"),
        "drawn": ("unpaired/SOCOv1", "--draw-pairs", "--seed", "3", "--test-pairs", "40", "--min-shared", "2"),
    }
    for name, source in sources.items():
        yield Step(f"build/{name}", 0, ("build", *source, "--out", f"data/{name}"), (f"data/{name}",))
        yield Step(f"info/{name}", 1, ("info", f"data/{name}", "--verify"))
        yield Step(f"info/{name}_findings", 1, ("info", f"data/{name}", "--findings"))
    refused = ("build", str(data / "oracle" / "SOCOv1_stress"), "--out", "data/refused")
    yield Step("build/stress_refused", 0, refused, ("data/refused",))
    strict = ("build", str(data / "oracle" / "SOCOv1"), "--strict", "--out", "data/strict")
    yield Step("build/oracle_strict", 0, strict, ("data/strict",))


def _loads() -> Iterator[Step]:
    for name in (*DATA, "mini_parquet", "stress", "drawn"):
        yield Step(f"load/{name}", 1, ("load", f"data/{name}"), prints="json", snippet=True)
    for name in ("mini", "oracle"):
        yield Step(f"metric/{name}", 1, ("metric", f"data/{name}"), prints="json", snippet=True)


def _evaluate(name: str, model: str, data: str, *options: str, stage: int = 1) -> Step:
    out = f"eval/{name}"
    chosen = () if "--image-size" in options else ("--image-size", SIZE)
    command = ("evaluate", "--model", model, "--data", f"data/{data}", *chosen, *options, "--out", out)
    return Step(f"evaluate/{name}", stage, command, (out,))


def _evaluations() -> Iterator[Step]:
    for data in DATA:
        for model, path in MODELS.items():
            for name, options in EVALUATED_BY_ALL.items():
                yield _evaluate(f"{data}/{model}/{name}", path, data, *options)
    yield _evaluate("drawn/tiny/standard", TINY, "drawn")
    yield _evaluate("stress/sift/standard", SIFT, "stress", "--tasks", "cc,soc,soc_geo")
    yield _evaluate("mini_parquet/sift/standard", SIFT, "mini_parquet")
    yield _evaluate(
        "oracle/dinov2_tiny_p14/paper", ORACLE_MODEL, "oracle", "--image-size", "285", "--protocol", "paper"
    )


def _variants() -> Iterator[Step]:
    for name, options in VARIANTS.items():
        yield _evaluate(f"variants/{name}", TINY, "mini", *options)
    yield _evaluate("variants/disk_again", TINY, "mini", *VARIANTS["disk_store"], stage=2)
    yield _evaluate("variants/composed", f"2*{TINY}+{SIFT}", "mini", "--grid", "12")
    yield _evaluate("variants/composed_all", f"{TINY}+{SIFT}", "oracle", "--split", "all", "--tasks", "soc,cross_soc")
    head = "eval/mini/tiny/paper/tiny.probe-reference.safetensors"
    yield _evaluate("variants/head", TINY, "mini", "--head", head, "--protocol", "paper", stage=2)
    probe = ("--image-size", SIZE, "--epochs", "2", "--train-batch", "16", "--holdout", "0.4", "--holdout-seed", "1")
    for data in ("mini", "oracle"):
        out = f"probe/{data}"
        command = ("probe", "--model", TINY, "--data", f"data/{data}", *probe, "--convention", "centered", "--out", out)
        yield Step(f"probe/{data}", 1, command, (out,))


def _results() -> Iterator[Step]:
    for data in DATA:
        for protocol in ("standard", "centered", "paper"):
            for model, stem in STEMS.items():
                predictions = f"eval/{data}/{model}/{protocol}/{stem}.predictions.parquet"
                command = ("score", predictions, "--data", f"data/{data}", "--json")
                yield Step(f"score/{data}/{model}/{protocol}", 2, command, prints="json")
        records = [f"eval/{data}/{model}/paper/{stem}.json" for model, stem in STEMS.items()]
        compare = ("compare", *records, "--resamples", "200", "--per-category", "--per-supercategory")
        yield Step(f"compare/{data}", 2, (*compare, "--json"), prints="json")
        out = f"report/{data}"
        yield Step(f"report/{data}", 2, ("report", *records, "--data", f"data/{data}", "--out", out), (out,))
        every = [f"eval/{data}/{model}/all/{stem}.all.json" for model, stem in STEMS.items()]
        yield Step(f"report/{data}_all", 2, ("report", *every, "--out", f"report/{data}_all"), (f"report/{data}_all",))
        verify = ("verify", records[0], "--data", f"data/{data}", "--json")
        yield Step(f"verify/{data}", 2, verify, prints="json")
        for name, options in _views(data).items():
            out = f"view/{data}_{name}.png"
            yield Step(f"view/{data}/{name}", 2, ("view", f"data/{data}", *options, "--out", out), (out,))
    unlike = ("compare", "eval/mini/tiny/paper/tiny.json", "eval/oracle/tiny/paper/tiny.json")
    yield Step("compare/unlike_data", 2, unlike)
    for kind in ("json", "csv"):
        local = ("leaderboard", "--local", "eval/mini/tiny/standard", "--source", "local", "--source", "paper")
        yield Step(f"leaderboard/{kind}", 2, (*local, f"--{kind}"), prints=kind)


def _views(data: str) -> dict[str, tuple[str, ...]]:
    return {
        "images": ("--config", "images", "--number", "3"),
        "cross_soc": ("--config", "cross_soc", "--rows", "0,5,9"),
        "lvlm": ("--config", "lvlm", "--number", "2"),
        "all": ("--config", "soc", "--split", "all", "--number", "3"),
        "matches": ("--predictions", f"eval/{data}/tiny/standard/tiny.predictions.parquet", "--number", "3"),
    }


def _questions() -> Iterator[Step]:
    models = {"random": ("random", "--seed", "4"), "random++": ("random++",), "tiny": (TINY, "--image-size", SIZE)}
    for data in ("mini", "oracle"):
        for model, options in models.items():
            out = f"answers/{data}"
            baseline = ("lvlm", "baseline", "--data", f"data/{data}", "--out", out, "--model", *options)
            yield Step(f"lvlm/{data}/baseline_{model}", 1, baseline, (f"{out}/{model}",))
        yield Step(f"lvlm/{data}/scripted", 2, ("script_answers", f"answers/{data}"), (), "json", snippet=True)
        for model in (*models, "scripted"):
            files = [f"answers/{data}/{model}/{setting}.answers.jsonl" for setting in ("vis", "vis_desc", "desc")]
            out = f"lvlm/{data}_{model}.json"
            score = ("lvlm", "score", *files, "--data", f"data/{data}", "--resamples", "200", "--partial", "--out", out)
            keeps = (out, out.replace(".json", ".answers.parquet"))
            yield Step(f"lvlm/{data}/score_{model}", 3, (*score, "--json"), keeps, "json")
        board = [f"answers/{data}/{model}" for model in (*models, "scripted")]
        report = ("lvlm", "report", *board, "--data", f"data/{data}", "--partial", "--out", f"lvlm_report/{data}")
        yield Step(f"lvlm/{data}/report", 3, report, (f"lvlm_report/{data}",))
    export = ("lvlm", "export", "--data", "data/real", "--marker", "circle", "--marker-color", "blue", "--out", "tsv")
    yield Step("lvlm/export", 1, export, ("tsv",))
    imported = ("lvlm", "import", "tsv/soco_lvlm_img.tsv", "tsv/soco_lvlm_txt.tsv", "--out", "data/imported")
    yield Step("lvlm/import", 2, imported, ("data/imported",))
    yield Step("load/imported", 3, ("load", "data/imported"), prints="json", snippet=True)


def _old_files(old: str) -> Iterator[Step]:
    """What was written before must be read, and give the same numbers."""
    paper = f"{old}/eval/mini/tiny/paper/tiny"
    yield Step("old/info", 4, ("info", f"{old}/data/mini", "--verify"))
    yield Step("old/load", 4, ("load", f"{old}/data/mini"), prints="json", snippet=True)
    score = ("score", f"{paper}.predictions.parquet", "--data", f"{old}/data/mini", "--json")
    yield Step("old/score", 4, score, prints="json")
    yield Step("old/verify", 4, ("verify", f"{paper}.json", "--data", f"{old}/data/mini", "--json"), prints="json")
    compare = ("compare", f"{paper}.json", "eval/mini/sift/paper/dense_sift.json", "--resamples", "100", "--json")
    yield Step("old/compare", 4, compare, prints="json")
    records = (f"{paper}.json", "eval/mini/sift/paper/dense_sift.json")
    report = ("report", *records, "--data", f"{old}/data/mini", "--out", "report/old")
    yield Step("old/report", 4, report, ("report/old",))
    every = ("report", f"{old}/eval/mini/tiny/all/tiny.all.json", "--out", "report/old_all")
    yield Step("old/report_all", 4, every, ("report/old_all",))
    head = f"{paper}.probe-reference.safetensors"
    evaluate = ("evaluate", "--model", TINY, "--head", head, "--image-size", SIZE, "--data", f"{old}/data/mini")
    yield Step("old/evaluate", 4, (*evaluate, "--protocol", "fast", "--out", "eval/old"), ("eval/old",))
    answers = [f"{old}/answers/mini/random/{setting}.answers.jsonl" for setting in ("vis", "vis_desc", "desc")]
    lvlm = ("lvlm", "score", *answers, "--data", f"{old}/data/mini", "--resamples", "50", "--json")
    yield Step("old/lvlm_score", 4, lvlm, prints="json")
    yield Step("old/lvlm_verify", 4, ("verify", f"{old}/lvlm/mini_random.json", "--json"), prints="json")


def _others(data: Path) -> Iterator[Step]:
    tables = [str(data / "paper" / name) for name in ("table_r8_downstream.csv", "table_r5_all_models.csv")]
    study = ("correlate", tables[0], "--x", "ade20k_miou", "--baseline", "imagenet_knn_top1", "--resamples", "500")
    yield Step("correlate/json", 1, (*study, "--json"), prints="json")
    yield Step("correlate/files", 1, (*study, "--seed", "2", "--out", "correlate"), ("correlate",))
    scores = ("correlate", tables[1], "--x", "soc", "--resamples", "300", "--json")
    yield Step("correlate/scores", 1, scores, prints="json")
    yield Step("models/list", 1, ("models", "--json"), prints="json")
    for name, path in {**MODELS, "dinov2_tiny_p14": ORACLE_MODEL}.items():
        check = ("models", "--check", path, "--image-size", SIZE, "--json")
        yield Step(f"models/check_{name}", 1, check, prints="json")
    yield Step("models/dinov2_b14", 1, ("models", "dinov2_b14", "--json"), prints="json")
    for kind in ("ibot", "vit"):
        out = f"converted/{kind}"
        options = ("--statistics", "half") if kind == "vit" else ()
        convert = ("convert", kind, "models/timm.safetensors", "--heads", "2", *options, "--out", out)
        yield Step(f"convert/{kind}", 1, convert, (out,))
    converted = ("--image-size", "64", "--data", "data/real", "--tasks", "soc", "--out", "eval/converted")
    yield Step("convert/evaluated", 2, ("evaluate", "--model", "converted/vit", *converted), ("eval/converted",))
