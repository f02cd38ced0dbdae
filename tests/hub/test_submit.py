"""`soco submit` with the real client against the loopback Hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from helpers.hub_clients import run_soco
from helpers.hub_results import BENCHMARK, TASKS, board_files, make_result, predictions_beside, published
from helpers.loopback_hub import LoopbackHub

from soco_datasets.config import FeatureConfig, Protocol, ScoringConfig
from soco_datasets.errors import PredictionsError
from soco_datasets.hub.submission import SubmissionError
from soco_datasets.hub.submit import prepare
from soco_datasets.utils.files import sha256_file

TOKEN = "hf_bobSecretToken1234"
READER = "hf_readerSecretToken1"
MODEL = "lab/model"
YAML_FILE = ".eval_results/soco.yaml"


@pytest.fixture(scope="module")
def result(built_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_result(built_mini, tmp_path_factory.mktemp("result"), name="bob's | `model`\u202e")


@pytest.fixture
def hub(built_mini: Path):
    with LoopbackHub() as made:
        made.add_account(TOKEN, "bob")
        made.add_account(READER, "reader", role="read")
        made.add_repo("dataset", BENCHMARK, board_files(built_mini))
        made.add_repo("model", MODEL, {"README.md": b"# model"})
        yield made


def submit(hub: LoopbackHub, tmp_path: Path, record: Path, *options: str, token: str | None = TOKEN, ok: bool = True):
    arguments = ("submit", record, "--dataset-repo", BENCHMARK, *options)
    if "--model-repo" not in options:
        arguments += ("--model-repo", MODEL)
    done = run_soco(hub, tmp_path, *arguments, token=token, check=False)
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    for secret in (TOKEN, READER):
        assert secret not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def nothing_was_sent(hub: LoopbackHub) -> bool:
    return not hub.requests_of(path="/(commit|preupload|create)") and not hub.repo("model", MODEL).discussions


def test_a_dry_run_prints_exactly_what_is_sent(hub: LoopbackHub, tmp_path: Path, result: Path) -> None:
    dry = submit(hub, tmp_path, result, "--dry-run", "--artifacts", "bob/results", token=None)
    assert nothing_was_sent(hub)
    assert {r.method for r in hub.log} <= {"GET", "HEAD"}
    unknown = submit(hub, tmp_path, result, "--dry-run", token=None).stdout  # nobody's account yet
    assert "to the dataset repository YOU/soco-submissions" in unknown
    submit(hub, tmp_path, result, "--artifacts", "bob/results")
    model = hub.repo("model", MODEL)
    sent = model.changed_by(1)[YAML_FILE].data.decode()
    assert dry.stdout.endswith(sent)
    files = hub.files("dataset", "bob/results")
    for name, data in files.items():
        assert f"   {name}  {len(data):,} bytes  sha256 " in dry.stdout
    assert model.discussions[1].title in dry.stdout
    described = model.discussions[1].events[0]["data"]["latest"]["raw"]
    assert "".join(f"   | {line}\n" for line in described.splitlines()) in dry.stdout
    assert "\u202e" not in described


def test_entries_files_and_order(hub: LoopbackHub, tmp_path: Path, result: Path) -> None:
    done = submit(hub, tmp_path, result)
    assert f"{hub.endpoint}/{MODEL}/discussions/1" in done.stdout
    stated = json.loads(result.read_text())
    entries = yaml.safe_load(hub.repo("model", MODEL).changed_by(1)[YAML_FILE].data)
    by_task = {entry["dataset"]["task_id"]: entry for entry in entries}
    assert {*TASKS, "soc_animals", "cc_hand_held", "cross_soc_furniture"} <= set(by_task)
    assert len(by_task) == len(entries) == 15
    assert by_task["soc"]["value"] == round(100 * stated["metrics"]["soc"]["pair"]["0.1"]["overall"]["pck"], 4)
    animals = stated["metrics"]["soc"]["pair"]["0.1"]["per_supercategory"]["animals"]["pck"]
    assert by_task["soc_animals"]["value"] == round(100 * animals, 4)
    board = hub.repo("dataset", BENCHMARK).resolve("main").oid
    for entry in entries:
        assert entry["dataset"]["id"] == BENCHMARK
        assert entry["dataset"]["revision"] == board
        assert entry["date"] == stated["created"]
        assert "reference convention, 800 px, layer -1, before the final norm, float32" in entry["notes"]
        assert sha256_file(result) in entry["notes"]
        assert sha256_file(predictions_beside(result)) in entry["notes"]
    files = hub.files("dataset", "bob/soco-submissions")
    folder = by_task["soc"]["source"]["url"].split("/tree/main/")[1]
    assert files == {
        f"{folder}/record.json": result.read_bytes(),
        f"{folder}/predictions.parquet": predictions_beside(result).read_bytes(),
    }
    assert YAML_FILE not in hub.files("model", MODEL)
    commits = [r.path for r in hub.log if "/commit/" in r.path]
    assert ["datasets" in path for path in commits] == [True, False]


def test_submitting_again_changes_nothing_and_a_better_result_updates_the_proposal(
    hub: LoopbackHub, tmp_path: Path, result: Path, built_mini: Path
) -> None:
    submit(hub, tmp_path, result)
    hub.clear()
    again = submit(hub, tmp_path, result)
    assert "open already" in again.stdout
    assert not hub.requests_of(path="/commit/")
    better = make_result(built_mini, tmp_path / "better", seed=1)
    assert "updated" in submit(hub, tmp_path, better).stdout
    model = hub.repo("model", MODEL)
    assert list(model.discussions) == [1]
    assert sha256_file(better) in model.changed_by(1)[YAML_FILE].data.decode()
    assert len(hub.files("dataset", "bob/soco-submissions")) == 4
    model.merge(1)
    hub.clear()
    assert "merged already" in submit(hub, tmp_path, better).stdout
    assert not hub.requests_of(path="/commit/")


def spoil_number(path: Path, folder: Path) -> Path:
    fields = json.loads(path.read_text())
    fields["metrics"]["soc"]["pair"]["0.1"]["overall"]["pck"] += 1e-15
    path.write_text(json.dumps(fields))
    return path


def in_percent(path: Path, folder: Path) -> Path:
    fields = json.loads(path.read_text())
    for by_reduction in fields["metrics"].values():
        for by_alpha in by_reduction.values():
            for part in by_alpha.values():
                part["overall"]["pck"] *= 100
    path.write_text(json.dumps(fields))
    return path


def without_predictions(path: Path, folder: Path) -> Path:
    predictions_beside(path).unlink()
    return path


def made(**fields):
    return lambda path, folder: make_result(folder, path.parent / "other", **fields)


OTHER_DATA = {"id": "GenIntelLab/SOCO", "revision": "v0", "content_hash": "a" * 64}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (spoil_number, "the record is not what its predictions give"),
        (in_percent, "wrong unit"),
        (without_predictions, "is missing"),
        (made(tasks=("cc", "soc")), "incomplete: it lacks the task\\(s\\) cross_soc"),
        (made(dataset=OTHER_DATA), "evaluated on other data: GenIntelLab/SOCO"),
        (
            made(protocol=Protocol(ScoringConfig(convention="centered"))),
            "the convention is 'centered', the leaderboard's is 'reference'",
        ),
        (
            made(protocol=Protocol(features=FeatureConfig(image_size=640))),
            "the image size is 640, the leaderboard's is 800",
        ),
        (made(protocol=Protocol(ScoringConfig(alphas=(0.05,)))), "not scored at alpha 0.1"),
    ],
    ids=["number", "percent", "no predictions", "incomplete", "other data", "convention", "size", "alpha"],
)
def test_a_result_that_does_not_fit_is_refused_with_the_reason(
    change, said: str, tmp_path: Path, built_mini: Path
) -> None:
    record = change(make_result(built_mini, tmp_path / "results", resamples=0), built_mini)
    with pytest.raises((PredictionsError, SubmissionError), match=said):
        prepare(record, MODEL, "bob/results", published(built_mini))


def test_nothing_is_sent_of_a_result_that_does_not_fit(hub: LoopbackHub, tmp_path: Path, built_mini: Path) -> None:
    record = make_result(
        built_mini, tmp_path / "results", resamples=0, protocol=Protocol(features=FeatureConfig(image_size=640))
    )
    done = submit(hub, tmp_path, record, ok=False)
    assert "cannot stand on the leaderboard of lab/soco:\n  the image size is 640" in done.stderr
    assert nothing_was_sent(hub)


@pytest.mark.parametrize(
    ("options", "token", "said"),
    [
        ((), None, "hf auth login"),
        ((), READER, "can only read"),
        (("--model-repo", "lab/nobody"), TOKEN, "--create-model-repo"),
        (("--model-repo", "lab/hidden"), "hf_aliceSecret", "is private"),
        (("--artifacts", "lab/theirs"), TOKEN, "Give --artifacts YOU/NAME"),
        (("--artifacts", "bob/secret"), TOKEN, "could not be recomputed"),
        (("--artifacts", BENCHMARK), TOKEN, "benchmark itself"),
    ],
)
def test_who_may_not_is_told_what_to_do_and_nothing_is_sent(
    options, token, said: str, hub: LoopbackHub, tmp_path: Path, result: Path
) -> None:
    hub.add_account("hf_aliceSecret", "alice", orgs=("lab",))
    hub.add_repo("model", "lab/hidden", private=True)
    hub.add_repo("dataset", "lab/theirs", {"README.md": b"theirs"})
    hub.add_repo("dataset", "bob/secret", private=True)
    before = {key: repo.resolve("main").oid for key, repo in hub.repos.items()}
    done = submit(hub, tmp_path, result, *options, token=token, ok=False)
    assert said in done.stderr, done.stderr
    assert "hf_aliceSecret" not in done.stderr
    assert {key: repo.resolve("main").oid for key, repo in hub.repos.items()} == before
    assert not hub.requests_of("PUT")
    assert not any(repo.discussions for repo in hub.repos.values())


def test_a_dataset_that_is_no_leaderboard_is_refused(hub: LoopbackHub, tmp_path: Path, result: Path) -> None:
    hub.commit(hub.repo("dataset", BENCHMARK), {"leaderboard.json": b'{"image_sise": 800}'})
    assert "leaderboard.json of the dataset repository is malformed" in submit(hub, tmp_path, result, ok=False).stderr
    hub.add_repo("dataset", "lab/other", {"data.csv": b"1"})
    other = run_soco(
        hub, tmp_path, "submit", result, "--model-repo", MODEL, "--dataset-repo", "lab/other", check=False, token=TOKEN
    )
    assert "is not a SOCO leaderboard" in other.stderr
    assert nothing_was_sent(hub)


def test_a_model_that_is_not_on_the_hub_gets_a_repository(hub: LoopbackHub, tmp_path: Path, result: Path) -> None:
    submit(hub, tmp_path, result, "--model-repo", "bob/closed-model", "--create-model-repo")
    card = hub.files("model", "bob/closed-model")["README.md"].decode()
    assert "weights are elsewhere" in card
    assert YAML_FILE in hub.repo("model", "bob/closed-model").changed_by(1)


def test_trouble_that_passes_is_waited_out(hub: LoopbackHub, tmp_path: Path, result: Path) -> None:
    hub.fail("GET", "/api/datasets/lab/soco", 503)
    hub.drop("PUT", "^/lfs/", after_bytes=10)
    hub.drop("POST", f"/api/models/{MODEL}/preupload/")
    submit(hub, tmp_path, result)
    assert list(hub.repo("model", MODEL).discussions) == [1]


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "", "Or it takes no pull requests"),
        (403, "GatedRepo", "Accept its terms"),
        (412, "", "Run the same command again"),
    ],
)
def test_a_proposal_that_fails_leaves_nothing_and_can_be_repeated(
    status: int, code: str, said: str, hub: LoopbackHub, tmp_path: Path, result: Path
) -> None:
    hub.fail("POST", f"/api/models/{MODEL}/commit/", status, code=code)
    done = submit(hub, tmp_path, result, ok=False)
    assert said in done.stderr, done.stderr
    assert not hub.repo("model", MODEL).discussions
    hub.clear()
    submit(hub, tmp_path, result)
    assert hub.bytes_up() == 0
    assert list(hub.repo("model", MODEL).discussions) == [1]


def test_a_proposal_whose_answer_is_lost_is_not_made_twice(hub: LoopbackHub, tmp_path: Path, result: Path) -> None:
    hub.lose_answer("POST", f"/api/models/{MODEL}/commit/")
    submit(hub, tmp_path, result)
    assert list(hub.repo("model", MODEL).discussions) == [1]


def test_a_proposal_in_conflict_with_main_is_told(hub: LoopbackHub, tmp_path: Path, result: Path) -> None:
    submit(hub, tmp_path, result)
    hub.commit(hub.repo("model", MODEL), {YAML_FILE: b"- {dataset: {id: a/b, task_id: c}, value: 1}\n"})
    done = submit(hub, tmp_path, result, ok=False)
    assert "conflicts with what is on main" in done.stderr
    assert "Close it" in done.stderr
    hub.repo("model", MODEL).discussions[1].status = "closed"
    submit(hub, tmp_path, result)
    assert hub.repo("model", MODEL).conflicts(2) == []
