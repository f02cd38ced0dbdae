"""A maintainer reruns the submissions of a leaderboard with any callable and proposes what was found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from helpers.hub_clients import run_python, run_soco
from helpers.hub_results import BENCHMARK, board_files, make_result
from helpers.loopback_hub import LoopbackHub

from soco_datasets.benchmarks.tasks import get_tasks
from soco_datasets.correspondence.evaluate import evaluate_backbone
from soco_datasets.correspondence.grid_positions import cells_to_points, with_predictions
from soco_datasets.data.folder import open_folder
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.records.evaluation import record_from_predictions, write_evaluation
from soco_datasets.records.predictions import HEADER_KEY, read_header, read_predictions
from soco_datasets.records.validation import points_array, sizes_array

ALICE, BOB = "hf_aliceSecretToken12", "hf_bobSecretToken1234"
MODEL = "lab/model"
BOARD = ("leaderboard", "--dataset-repo", BENCHMARK, "--json", "--task", "soc", "--no-paper")
SCRIPT = """
    from pathlib import Path
    from soco_datasets.errors import SocoError
    from soco_datasets.hub.rerun_request import RerunRequest
    from soco_datasets.hub.rerun_queue import describe_reruns, rerun_queue, rerun_with
    from soco_datasets.records.verification import Verification
    def always(queued):
        if queued.model == "lab/plug":
            raise SocoError("needs a plug-in")
        return Verification("rerun", images=24, pairs=40)
    found = rerun_queue({repo!r}, {verify}, journal=Path("journal.json"))
    print(describe_reruns(found), *found.remarks, sep="\\n")
"""


@pytest.fixture
def hub(built_mini: Path, tmp_path: Path) -> Iterator[LoopbackHub]:
    """A leaderboard with one submission of `MODEL`, merged."""
    with LoopbackHub() as made:
        made.add_account(ALICE, "alice", orgs=("lab",))
        made.add_account(BOB, "bob")
        made.add_repo("dataset", BENCHMARK, board_files(built_mini))
        made.add_repo("model", MODEL, {"README.md": b"# model"})
        submit(made, tmp_path, make_result(built_mini, tmp_path / "results", resamples=0), MODEL)
        made.repo("model", MODEL).merge(1)
        yield made


def submit(hub: LoopbackHub, tmp_path: Path, record: Path, model: str) -> None:
    run_soco(hub, tmp_path, "submit", record, "--dataset-repo", BENCHMARK, "--model-repo", model, token=BOB)


def rerun(hub: LoopbackHub, tmp_path: Path, verify: str = "always") -> str:
    return run_python(hub, tmp_path, SCRIPT.format(repo=BENCHMARK, verify=verify), ALICE).stdout


def shown(hub: LoopbackHub, tmp_path: Path) -> dict[tuple[str, float], str]:
    done = run_soco(hub, tmp_path, *BOARD, home="reader")
    assert "another revision" not in done.stderr  # the data is the same, whatever was merged beside it
    rows = json.loads(done.stdout)
    return {(row["model"], row["percent"]): row["verification"] for row in rows}


def test_reruns_are_proposed_and_shown_once_merged(hub: LoopbackHub, tmp_path: Path, built_mini: Path) -> None:
    hub.add_repo("model", "lab/plug", {"README.md": b"# plug-in"})
    submit(hub, tmp_path, make_result(built_mini, tmp_path / "other", name="plug-in", seed=1, resamples=0), "lab/plug")
    told = rerun(hub, tmp_path)
    assert "lab/model: rerun (24 images, 40 pairs) by alice" in told
    assert "lab/plug@refs/pr/1 was not run: SocoError: needs a plug-in" in told
    board = hub.repo("dataset", BENCHMARK)
    (pull,) = board.discussions.values()
    assert "verifications.json" not in hub.files("dataset", BENCHMARK)
    assert "24 images" in pull.events[0]["data"]["latest"]["raw"]
    assert set(shown(hub, tmp_path).values()) == {"claimed", "proposed"}
    assert "lab/model: rerun" in rerun(hub, tmp_path)  # from the journal: nothing is run or opened twice
    assert list(board.discussions) == [1]

    board.merge(1)
    values = shown(hub, tmp_path)
    (mine,) = (text for (model, _), text in values.items() if model == MODEL)
    assert mine.startswith("rerun (24 images, 40 pairs) by alice on ")
    (tmp_path / "journal.json").unlink()
    assert "nothing to propose" in rerun(hub, tmp_path)


def test_copied_notes_do_not_carry_a_verification(hub: LoopbackHub, tmp_path: Path) -> None:
    rerun(hub, tmp_path)
    hub.repo("dataset", BENCHMARK).merge(1)
    entries = yaml.safe_load(hub.files("model", MODEL)[".eval_results/soco.yaml"])
    hub.add_repo("model", "lab/copy", {".eval_results/soco.yaml": yaml.safe_dump(entries).encode()})
    better = [{**entry, "value": 99.0} for entry in entries]
    hub.commit(hub.repo("model", MODEL), {".eval_results/better.yaml": yaml.safe_dump(better).encode()})
    found = shown(hub, tmp_path)
    assert found[MODEL, 99.0] == "claimed"
    assert [text for (model, _), text in found.items() if model == "lab/copy"] == ["claimed"]
    assert sum(text.startswith("rerun") for text in found.values()) == 1


def test_what_cannot_be_the_models_is_found_before_anything_is_run(
    hub: LoopbackHub, tmp_path: Path, built_mini: Path
) -> None:
    """The points of this result are made up, and it states no grid that they could be compared with."""
    told = rerun(hub, tmp_path, f"rerun_with(RerunRequest(pairs=5), {str(built_mini)!r})")
    assert "lab/model: claimed by alice" in told
    assert "no patch grid" in told
    hub.repo("dataset", BENCHMARK).merge(1)
    entries = yaml.safe_load(hub.files("model", MODEL)[".eval_results/soco.yaml"])
    assert next(iter(shown(hub, tmp_path).values())).startswith("claimed by alice")
    entries[0]["value"] += 1
    hub.add_repo("model", "lab/more", {".eval_results/soco.yaml": yaml.safe_dump(entries).encode()})
    told = rerun(hub, tmp_path, f"rerun_with(RerunRequest(pairs=5), {str(built_mini)!r})")
    assert "lab/more: claimed by alice" in told
    assert "cc: value" in told


_KILLED = """
    import os
    from pathlib import Path
    from soco_datasets.hub.rerun_request import RerunRequest
    from soco_datasets.hub.rerun_queue import rerun_queue, rerun_with
    verify, seen = rerun_with(RerunRequest(pairs=3), {data!r}), []
    def once(queued):
        if seen:
            os._exit(9)
        seen.append(queued)
        return verify(queued)
    rerun_queue({repo!r}, once, journal=Path("journal.json"))
"""


def changed(record: Path, out: Path, change: Callable[[dict[str, Any]], object], points: Any = None) -> Path:
    """The same predictions under another header, or other points under it, as a record of their own."""
    table = read_predictions(record.with_name(f"{record.stem}.predictions.parquet"))
    fields = json.loads(table.schema.metadata[HEADER_KEY])
    change(fields)
    table = table.replace_schema_metadata({**table.schema.metadata, HEADER_KEY: json.dumps(fields)})
    table = table if points is None else with_predictions(table, points(table))
    return write_evaluation(out, table, record_from_predictions(table, resamples=0))[0]


def test_a_queue_of_real_runs_and_forgeries(tmp_path: Path, built_mini: Path) -> None:
    """The command: one honest result, one changed, one copied, one of a model that nobody has; killed after the first."""
    extractor = DenseFeatureExtractor(load_backbone("tiny_dinov2"), 112)
    made = evaluate_backbone(extractor, open_folder(built_mini), get_tasks(["cc", "soc", "cross_soc"]))
    assert made.predictions is not None
    honest, _ = write_evaluation(tmp_path / "a", made.predictions, made.result)

    def first_targets(table: pa.Table) -> np.ndarray:
        starts = np.cumsum([0, *pc.list_value_length(table["target_points"]).to_pylist()])[:-1]
        return points_array(table["target_points"])[starts]

    def other_weights(fields: dict[str, Any]) -> None:
        fields["model"].update(name="mine", weights_hash="ab" * 32)

    results = {
        "lab/honest": honest,
        "lab/truth": changed(honest, tmp_path / "b", lambda fields: None, first_targets),
        "lab/copy": changed(honest, tmp_path / "c", other_weights),
        "lab/gone": changed(honest, tmp_path / "d", lambda fields: fields["model"].update(name="lab/absent"), shifted),
    }
    with LoopbackHub() as hub:
        hub.add_account(ALICE, "alice", orgs=("lab",))
        hub.add_account(BOB, "bob")
        hub.add_repo("dataset", BENCHMARK, board_files(built_mini, '{"image_size": 112}'))
        for model, record in results.items():
            hub.add_repo("model", model, {"README.md": b"# model"})
            submit(hub, tmp_path, record, model)
            hub.repo("model", model).merge(1)
        run_python(hub, tmp_path, _KILLED.format(data=str(built_mini), repo=BENCHMARK), ALICE, check=False)
        assert len(json.loads((tmp_path / "journal.json").read_text())["verifications"]) == 1
        assert not hub.repo("dataset", BENCHMARK).discussions
        queue = ("leaderboard", "--rerun-queue", BENCHMARK, "--data", built_mini, "--rerun", "3")
        done = run_soco(hub, tmp_path, *queue, "--journal", "journal.json", token=ALICE)
        assert "lab/honest: rerun (" in done.stdout
        assert "lab/truth: recomputed" in done.stdout
        assert "predictions off the grid" in done.stdout
        assert "lab/copy: recomputed" in done.stdout
        assert "copied: 100.0 %" in done.stdout
        assert "lab/gone was not run" in done.stderr
        hub.repo("dataset", BENCHMARK).merge(1)
        found = {model: text for (model, _), text in shown(hub, tmp_path).items()}
        assert found["lab/honest"].startswith("rerun (")
        assert "by alice on" in found["lab/honest"]
        assert found["lab/gone"] == "claimed"
        again = run_soco(hub, tmp_path, *queue, "--journal", "journal.json", token=ALICE)
        assert "nothing to propose" in again.stdout
        assert "lab/gone was not run" in again.stderr
        hub.add_repo("dataset", "lab/other", board_files(built_mini, '{"image_size": 112}'))
        other = ("leaderboard", "--rerun-queue", "lab/other", "--journal", "journal.json")
        refused = run_soco(hub, tmp_path, *other, token=ALICE, check=False)
        assert f"journal.json is of another leaderboard, {BENCHMARK}" in refused.stderr


def shifted(table: pa.Table) -> np.ndarray:
    """The last cell for everybody: the predictions of nobody else."""
    protocol, sizes = read_header(table).protocol, sizes_array(table["target_size"])
    return cells_to_points(np.full((len(table), 2), 3.0), sizes, protocol)


@pytest.mark.parametrize("text", [b"{", b'{"verifications": [{"model": "a/b"}]}', b"[]"])
def test_a_malformed_file_is_said_and_verifies_nothing(hub: LoopbackHub, tmp_path: Path, text: bytes) -> None:
    hub.commit(hub.repo("dataset", BENCHMARK), {"verifications.json": text})
    done = run_soco(hub, tmp_path, *BOARD)
    assert "nothing is shown as rerun" in done.stderr
    assert json.loads(done.stdout)[0]["verification"] == "claimed"


def test_offline_a_dry_run_shows_the_local_half(tmp_path: Path, built_mini: Path) -> None:
    record = make_result(built_mini, tmp_path / "results", resamples=0)
    with LoopbackHub() as gone:
        pass  # nobody answers at its address any more
    arguments = ("submit", record, "--dataset-repo", BENCHMARK, "--model-repo", MODEL, "--dry-run")
    done = run_soco(gone, tmp_path, *arguments, "--artifacts", "bob/results", check=False)
    assert done.returncode == 1
    assert f"predictions.parquet  {data_size(record):,} bytes  sha256 " in done.stdout
    stated = json.loads(record.read_text())["metrics"]["soc"]["pair"]["0.1"]["overall"]["pck"]
    assert f"   soc  {round(100 * stated, 4)}\n" in done.stdout
    assert "Cannot read" in done.stderr


def data_size(record: Path) -> int:
    return record.with_name(f"{record.stem}.predictions.parquet").stat().st_size
