"""`soco publish` with the real client: what is sent, in which order, and what happens when it breaks."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml
from helpers.hub_clients import run_soco
from helpers.loopback_hub import LoopbackHub
from helpers.loopback_routes import SIGNATURE
from helpers.loopback_store import front_matter

from soco_datasets.data.schema import CONFIGS

TOKEN = "hf_aliceSecretToken123"
REPO = "lab/soco"


@pytest.fixture
def folder(built_mini: Path) -> Path:
    return built_mini


@pytest.fixture
def hub():
    with LoopbackHub() as made:
        made.add_account(TOKEN, "alice", orgs=("lab",))
        yield made


def publish(hub: LoopbackHub, tmp_path: Path, folder: Path, *options: str, token: str | None = TOKEN, ok: bool = True):
    done = run_soco(hub, tmp_path, "publish", folder, "--repo", REPO, *options, token=token, check=False)
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    assert TOKEN not in done.stdout + done.stderr
    assert SIGNATURE not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_publishing_twice_sends_nothing_the_second_time(hub: LoopbackHub, tmp_path: Path, folder: Path) -> None:
    first = publish(hub, tmp_path, folder, "--revision", "v1.0")
    files = hub.files("dataset", REPO)
    local = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(files) == local | {"eval.yaml", "image_index.parquet"}
    assert all(files[name] == (folder / name).read_bytes() for name in local - {"README.md"})
    assert "files sent" in first.stdout
    assert hub.repo("dataset", REPO).refs["refs/tags/v1.0"] == hub.repo("dataset", REPO).resolve("main").oid
    uploads = [i for i, r in enumerate(hub.log) if r.method == "PUT"]
    commits = [i for i, r in enumerate(hub.log) if "/commit/" in r.path]
    assert len(commits) == 1
    assert max(uploads) < commits[0]

    hub.clear()
    second = publish(hub, tmp_path, folder, "--revision", "v1.0")
    assert "nothing to send" in second.stdout
    assert hub.bytes_up() == 0
    assert not hub.requests_of(path="/(commit|preupload|tag)/|lfs")


def test_the_card_is_valid_and_complete(hub: LoopbackHub, tmp_path: Path, folder: Path) -> None:
    publish(hub, tmp_path, folder)
    files = hub.files("dataset", REPO)
    card = files["README.md"].decode()
    metadata = front_matter(card)
    stored = {name.split("/")[0] for name in files if "/" in name}
    listed = [name for name in ("preview", *CONFIGS) if name in stored]
    assert [config["config_name"] for config in metadata["configs"]] == listed
    assert metadata["license"] == "cc-by-4.0"
    assert {info["config_name"] for info in metadata["dataset_info"]} == stored
    assert f'load_dataset("{REPO}"' in card
    assert "FOLDER" not in card
    assert not re.search(r"\$[a-z_]+", card)
    for part in ("CC BY 4.0", "ethical considerations", "Limitations", "@article", "percent (0 to 100)"):
        assert part in card
    tasks = yaml.safe_load(files["eval.yaml"])["tasks"]
    assert {task["config"] for task in tasks} <= stored
    assert {"cc", "soc", "cross_soc"} <= {task["id"] for task in tasks}


def test_an_update_sends_what_changed_and_removes_what_is_gone(hub: LoopbackHub, tmp_path: Path, folder: Path) -> None:
    publish(hub, tmp_path, folder)
    repo = hub.repo("dataset", REPO)
    stale = "soc/test-00001-of-00002.arrow"
    hub.commit(repo, {stale: bytes(100), "README.md": b"---\nlicense: mit\n---\nold", "pictures/mine.txt": b"kept"})
    hub.clear()
    done = publish(hub, tmp_path, folder)
    assert "1 files sent" in done.stdout
    assert "1 removed" in done.stdout
    files = hub.files("dataset", REPO)
    assert stale not in files
    assert files["pictures/mine.txt"] == b"kept"
    assert hub.bytes_up() == 0  # the card is small and goes with the commit


def test_a_cut_upload_goes_on_where_it_stopped(hub: LoopbackHub, tmp_path: Path, folder: Path) -> None:
    hub.fail("PUT", "^/lfs/", 507, skip=3, times=100)  # no status that the client itself waits for, half a minute
    broken = publish(hub, tmp_path, folder, ok=False)
    assert "Run the same command again" in broken.stderr
    assert "status 507" in broken.stderr
    assert set(hub.files("dataset", REPO)) == set()  # nothing is visible
    arrived = len(hub.objects)
    assert 1 <= arrived <= 3
    sent = sum(map(len, hub.objects.values()))
    hub.clear()
    publish(hub, tmp_path, folder)
    contents = sum(r.received for r in hub.requests_of("PUT", "^/lfs/"))
    assert contents == sum(map(len, hub.objects.values())) - sent
    assert "README.md" in hub.files("dataset", REPO)


def test_trouble_that_passes_is_waited_out(hub: LoopbackHub, tmp_path: Path, folder: Path) -> None:
    hub.fail("GET", "whoami", 502)
    hub.fail("POST", "/preupload/", 503)
    hub.drop("PUT", "^/lfs/", after_bytes=10)
    hub.fail("POST", "/commit/", 500)
    publish(hub, tmp_path, folder)
    assert "README.md" in hub.files("dataset", REPO)


def test_a_commit_whose_answer_is_lost_is_not_made_twice(hub: LoopbackHub, tmp_path: Path, folder: Path) -> None:
    publish(hub, tmp_path, folder)
    repo = hub.repo("dataset", REPO)
    hub.commit(repo, {"README.md": b"old"})
    hub.clear()
    hub.lose_answer("POST", "/commit/")
    publish(hub, tmp_path, folder)
    assert len(hub.requests_of("POST", "/commit/")) == 2
    made = [commit for commit in repo.commits.values() if commit.author == "alice"]
    assert len(made) == 2


def test_somebody_commits_meanwhile(hub: LoopbackHub, tmp_path: Path, folder: Path) -> None:
    publish(hub, tmp_path, folder)
    hub.commit(hub.repo("dataset", REPO), {"README.md": b"old"})
    hub.fail("POST", "/commit/", 412, message="A commit has happened since")
    publish(hub, tmp_path, folder)
    assert b"license: cc-by-4.0" in hub.files("dataset", REPO)["README.md"]


def test_a_pull_request_is_opened_once(hub: LoopbackHub, tmp_path: Path, folder: Path) -> None:
    hub.add_account("hf_bobSecret", "bob")
    missing = publish(hub, tmp_path, folder, "--create-pr", ok=False)
    assert "no dataset of this name exists" in missing.stderr
    repo = hub.add_repo("dataset", REPO, {"README.md": b"---\nlicense: mit\n---\n"})
    first = publish(hub, tmp_path, folder, "--create-pr", token="hf_bobSecret")
    assert f"{hub.endpoint}/datasets/{REPO}/discussions/1" in first.stdout
    assert set(hub.files("dataset", REPO)) == {"README.md"}
    second = publish(hub, tmp_path, folder, "--create-pr", token="hf_bobSecret")
    assert "discussions/1" in second.stdout
    assert len(repo.discussions) == 1
    repo.merge(1)
    assert "manifest.json" in hub.files("dataset", REPO)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("no token", "No Hub token. Run `hf auth login`"),
        ("bad token", "does not accept the token"),
        ("read-only", "can only read"),
        ("other org", "write access to lab/soco"),
        ("forbidden", "Or propose the change instead: --create-pr"),
        ("unseen", "choose another name"),
        ("no hub", "a proxy or a login page"),
        ("taken", "The name is taken"),
        ("tag", "releases are never moved"),
        ("public", "exists and is public"),
        ("bad name", "is not the name of a Hub repository"),
        ("down", "not responding (status 503)"),
        ("offline", "Unset HF_HUB_OFFLINE"),
        ("yaml", "refuses what was sent"),
        ("damaged", "differs from the manifest"),
    ],
)
def test_faults_say_what_to_do_and_publish_nothing(
    hub: LoopbackHub, tmp_path: Path, folder: Path, case: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    token: str | None = TOKEN
    options: list[str] = []
    if case == "no token":
        token = None
    elif case == "bad token":
        token = "hf_unknownSecret"
    elif case == "read-only":
        hub.add_account("hf_readerSecret", "lab", role="read")
        token = "hf_readerSecret"
    elif case == "other org":
        hub.add_account("hf_bobSecret", "bob")
        token = "hf_bobSecret"
    elif case == "forbidden":
        hub.fail("POST", "/commit/", 403)
    elif case == "unseen":  # by this token, but there
        hub.fail("POST", "/api/repos/create", 409)
    elif case == "no hub":
        hub.fail("GET", "whoami", 200, times=9)
    elif case == "taken":
        hub.add_repo("dataset", REPO, {"train.csv": b"a,b"})
    elif case == "tag":
        repo = hub.add_repo("dataset", REPO)
        repo.refs["refs/tags/v1"] = repo.resolve("main").oid
        options = ["--revision", "v1"]
    elif case == "public":
        hub.add_repo("dataset", REPO)
        options = ["--private"]
    elif case == "bad name":
        options = ["--repo", "soco"]
    elif case == "down":
        hub.fail("GET", "whoami", 503, times=9)
    elif case == "offline":
        monkeypatch.setattr(LoopbackHub, "environment", _offline(LoopbackHub.environment))
    elif case == "yaml":
        hub.fail("POST", "validate-yaml", 400, message="bad card, says hf_leakedByServer")
    else:
        folder = Path(shutil.copytree(folder, tmp_path / "damaged"))
        shard = next((folder / "soc").iterdir())
        data = bytearray(shard.read_bytes())
        data[-20] ^= 1
        shard.write_bytes(data)
    before = {key: repo.refs["refs/heads/main"] for key, repo in hub.repos.items()}
    done = publish(hub, tmp_path, folder, *options, token=token, ok=False)
    assert said in done.stderr
    assert "Secret" not in done.stderr
    assert "hf_leaked" not in done.stderr
    for key, repo in hub.repos.items():
        assert not repo.resolve("main").files or repo.refs["refs/heads/main"] == before[key]


def _offline(environment):
    return lambda *arguments: environment(*arguments) | {"HF_HUB_OFFLINE": "1"}
