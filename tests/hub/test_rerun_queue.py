"""A maintainer reruns the submissions of a leaderboard with any callable and proposes what was found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from helpers.hub_clients import run_python, run_soco
from helpers.hub_results import BENCHMARK, board_files, make_result
from helpers.loopback_hub import LoopbackHub

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
