"""The loopback Hub answers the real clients as they expect."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.hub_clients import run_python
from helpers.loopback_hub import LoopbackHub

RESULT = """- dataset: {id: lab/bench, task_id: cc}
  value: 41.5
  date: '2026-01-02'
  source: {url: https://example.org/run}
"""


@pytest.fixture
def hub():
    with LoopbackHub() as made:
        made.add_account("hf_alice", "alice", orgs=("lab",))
        made.add_account("hf_bob", "bob")
        yield made


def test_the_clients_create_upload_list_and_download(hub: LoopbackHub, tmp_path: Path) -> None:
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "big.arrow").write_bytes(bytes(range(256)) * 100)
    (tmp_path / "up" / "README.md").write_text("---\nlicense: mit\n---\nhello")
    script = f"""
    from huggingface_hub import HfApi, snapshot_download, hf_hub_download
    api = HfApi()
    assert api.create_repo("lab/data", repo_type="dataset").repo_id == "lab/data"
    api.create_repo("lab/data", repo_type="dataset", exist_ok=True)
    first = api.upload_folder(repo_id="lab/data", repo_type="dataset", folder_path={str(tmp_path / "up")!r})
    again = api.upload_folder(repo_id="lab/data", repo_type="dataset", folder_path={str(tmp_path / "up")!r})
    api.create_tag("lab/data", repo_type="dataset", tag="v1")
    refs = api.list_repo_refs("lab/data", repo_type="dataset")
    paths = [f.path for f in api.list_repo_tree("lab/data", repo_type="dataset", recursive=True)]
    infos = api.get_paths_info("lab/data", ["big.arrow", "none"], repo_type="dataset")
    local = snapshot_download("lab/data", repo_type="dataset", revision="v1")
    print(json.dumps([first.oid, again.oid, paths, refs.tags[0].target_commit, infos[0].lfs.sha256, local]))
    """
    first, again, paths, tag, sha256, local = json.loads(run_python(hub, tmp_path, script, "hf_alice").stdout)
    assert first == again == tag
    assert paths == ["README.md", "big.arrow"]
    assert sha256 in hub.objects
    assert (Path(local) / "big.arrow").read_bytes() == (tmp_path / "up" / "big.arrow").read_bytes()
    assert hub.bytes_up() == 25_600 + len(json.dumps({"oid": sha256, "size": 25600}, separators=(",", ":")))


def test_results_proposed_and_merged_reach_the_leaderboard(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.add_repo("dataset", "lab/bench", {"eval.yaml": b"name: b\ntasks:\n- id: cc\n- id: soc\n"})
    hub.add_repo("model", "lab/model")
    script = f"""
    from huggingface_hub import HfApi
    bob, alice = HfApi(token="hf_bob"), HfApi(token="hf_alice")
    pull = bob.upload_file(path_or_fileobj={RESULT.encode()!r}, path_in_repo=".eval_results/b.yaml",
                           repo_id="lab/model", create_pr=True)
    details = bob.get_discussion_details("lab/model", pull.pr_num)
    proposed = bob.get_dataset_leaderboard("lab/bench")
    listed = [d.num for d in bob.get_repo_discussions("lab/model", discussion_type="pull_request")]
    alice.merge_pull_request("lab/model", pull.pr_num)
    merged = alice.get_dataset_leaderboard("lab/bench")
    entries = alice.model_info("lab/model", expand=["evalResults"]).eval_results
    print(json.dumps([details.status, details.diff, proposed[0].pull_request, listed, merged[0].value,
                      merged[0].pull_request, entries[0].dataset_id, pull.pr_url]))
    """
    status, diff, proposed, listed, value, merged, dataset, url = json.loads(run_python(hub, tmp_path, script).stdout)
    assert (status, proposed, listed, value, merged, dataset) == ("open", 1, [1], 41.5, None, "lab/bench")
    assert ".eval_results/b.yaml" in diff
    assert url == f"{hub.endpoint}/lab/model/discussions/1"


def test_who_may_do_what(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.add_account("hf_reader", "lab", role="read")
    hub.add_repo("dataset", "lab/private", {"a": b"a"}, private=True)
    hub.add_repo("dataset", "lab/gated", {"a": b"a"}, gated=True)
    script = """
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
    def outcome(work):
        try:
            work()
            return "done"
        except HfHubHTTPError as error:
            return [type(error).__name__, error.response.status_code]
    print(json.dumps([
        outcome(lambda: HfApi(token=False).dataset_info("lab/private")),
        outcome(lambda: HfApi(token="hf_bob").dataset_info("lab/private")),
        outcome(lambda: HfApi(token="hf_alice").dataset_info("lab/private")),
        outcome(lambda: hf_hub_download("lab/gated", "a", repo_type="dataset", token="hf_bob")),
        outcome(lambda: HfApi(token="hf_reader").create_repo("lab/new")),
        outcome(lambda: HfApi(token="hf_nobody").whoami()),
    ]))
    """
    assert json.loads(run_python(hub, tmp_path, script).stdout) == [
        ["RepositoryNotFoundError", 401],
        ["RepositoryNotFoundError", 404],
        "done",
        ["GatedRepoError", 403],
        ["HfHubHTTPError", 403],
        ["HfHubHTTPError", 401],
    ]


def test_faults_are_injected_and_bytes_counted(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.add_repo("dataset", "lab/data", {"x.arrow": bytes(5000)})
    hub.fail("GET", "/api/datasets/", 503)
    hub.drop("GET", "/resolve/", after_bytes=1000)
    script = """
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError
    try:
        HfApi().dataset_info("lab/data")
    except HfHubHTTPError as error:
        print(error.response.status_code)
    print(len(open(hf_hub_download("lab/data", "x.arrow", repo_type="dataset"), "rb").read()))
    """
    assert run_python(hub, tmp_path, script).stdout.split() == ["503", "5000"]
    first, second = hub.requests_of("GET", "/resolve/")
    assert (first.status, first.sent, second.status, second.sent) == (0, 1000, 200, 5000)
    assert hub.bytes_down() == 6000
