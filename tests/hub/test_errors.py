"""Every answer of the Hub becomes one clear message with a next step and without tokens."""

from __future__ import annotations

import time
from email.utils import formatdate

import httpx2
import pytest
from huggingface_hub import HfApi
from huggingface_hub.utils import hf_raise_for_status

from soco_datasets.cli import main
from soco_datasets.errors import UsageError
from soco_datasets.hub.client import check_repo_name, is_passing, retrying
from soco_datasets.utils.hub_errors import HubError, explained, redact

URL = "http://127.0.0.1:9/api/datasets/lab/soco/commit/main"


def refusal(status: int, code: str = "", said: str = "because") -> HubError:
    headers = {"X-Error-Code": code} if code else {}
    answer = httpx2.Response(status, json={"error": said}, headers=headers, request=httpx2.Request("POST", URL))
    with pytest.raises(HubError) as caught, explained("publish to", "lab/soco"):
        hf_raise_for_status(answer)
    return caught.value


@pytest.mark.parametrize(
    ("status", "code", "said", "passing"),
    [
        (400, "", "refuses what was sent", False),
        (402, "", "plan does not allow", False),
        (403, "", "needs write access to lab/soco", False),
        (403, "GatedRepo", "Accept its terms at", False),
        (404, "RevisionNotFound", "no such revision", False),
        (404, "EntryNotFound", "the file is not there", False),
        (409, "", "conflicts with what is there", False),
        (412, "", "changed by another commit", False),
        (413, "", "smaller --max-shard-size", False),
        (418, "", "status 418", False),
        (429, "", "too many requests", True),
        (500, "", "not responding (status 500)", True),
        (503, "", "not responding (status 503)", True),
    ],
)
def test_an_answer_is_explained(status: int, code: str, said: str, passing: bool) -> None:
    error = refusal(status, code)
    assert str(error).startswith("Cannot publish to lab/soco: ")
    assert said in str(error)
    assert error.status == status
    assert is_passing(error) == passing


def test_connections_that_break_are_explained_however_they_are_wrapped() -> None:
    def upload() -> None:
        try:
            raise httpx2.RemoteProtocolError("Server disconnected")
        except httpx2.RemoteProtocolError as error:
            raise RuntimeError("Error while uploading") from error

    with pytest.raises(HubError, match="the connection to the Hub failed") as caught, explained("publish to", "lab/x"):
        upload()
    assert caught.value.status is None
    assert is_passing(caught.value)


def test_what_is_not_about_the_hub_passes() -> None:
    with pytest.raises(RuntimeError, match=r"^mine$"), explained("publish to", "lab/x"):
        raise RuntimeError("mine")


@pytest.mark.parametrize(
    "text",
    [
        "token hf_abcDEF123 refused",
        "Authorization: Bearer abcDEF123",
        "https://user:abcDEF123@host/x",
        "https://host/x?token=abcDEF123",
    ],
)
def test_tokens_are_never_said(text: str) -> None:
    assert "abcDEF123" not in redact(text)
    assert "abcDEF123" not in str(refusal(403, said=text))


def test_signed_addresses_lose_their_signature() -> None:
    told = redact("403 for url 'https://cdn.example.org/a/b?X-Amz-Signature=abc&x=1' (try again?)")
    assert told == "403 for url 'https://cdn.example.org/a/b' (try again?)"


@pytest.mark.parametrize("name", ["soco", "a/b/c", "", "../x", "lab/soco.git", "lab/so co", "lab/" + "x" * 100])
def test_names_that_are_no_repository_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="give ORG/NAME"):
        check_repo_name(name)


@pytest.mark.parametrize(
    ("headers", "least"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "120"}, 120),
        ({"Retry-After": formatdate(time.time() + 3000, usegmt=True)}, None),
        ({"RateLimit": '"api";r=0;t=55'}, 55),
        ({"RateLimit": '"api";r=3;t=55'}, 1),
        ({"Retry-After": "7200"}, None),
        ({"Retry-After": "soon"}, 1),
    ],
)
def test_the_wait_that_the_hub_asks_for_is_kept_or_not_begun(
    headers: dict[str, str], least: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    busy = httpx2.Response(429, headers=headers, request=httpx2.Request("GET", URL))
    answers = [busy, httpx2.Response(200, request=busy.request)]
    if least is None:
        with pytest.raises(HubError, match="too many requests"):
            retrying("read", lambda: hf_raise_for_status(answers.pop(0)), "lab/soco")
        assert waited == []
    else:
        retrying("read", lambda: hf_raise_for_status(answers.pop(0)), "lab/soco")
        assert least <= waited[0] < least + 1
    assert len(answers) == (1 if least is None else 0)


@pytest.mark.parametrize("read", [lambda: httpx2.Response(200, text="<html>Log in").json(), lambda: {}["name"]])
def test_an_answer_that_is_not_a_hubs_is_explained(read) -> None:
    with pytest.raises(HubError, match="proxy or a login page"), explained("read", "lab/soco"):
        read()


@pytest.mark.parametrize("first", [True, False])
def test_a_hub_that_cannot_be_reached_ends_a_command_at_its_first_request(
    first: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)

    def closed() -> None:
        raise httpx2.ConnectError("[Errno 111] Connection refused")

    with pytest.raises(HubError, match="Check the network"):
        retrying("read", closed, "lab/soco", first=first)
    assert waited == ([] if first else [1.0, 2.0])
    assert (capsys.readouterr().err == "") == first


def test_commands_that_read_report_an_unreachable_hub_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def closed(*_: object, **__: object) -> None:
        raise httpx2.ConnectError("[Errno 111] Connection refused")

    for method in ("dataset_info", "get_paths_info"):
        monkeypatch.setattr(HfApi, method, closed)
    for words in (["leaderboard", "--dataset-repo", "lab/soco"], ["verify", "lab/model"]):
        assert main(words) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"soco {words[0]}: Cannot read lab/")
