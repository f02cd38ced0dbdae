"""The Hub's endpoints for pull requests, discussions and leaderboards."""

from __future__ import annotations

from typing import Any

from .loopback_routes import API, Answer, Call, as_json, comment, event, route
from .loopback_store import Discussion, HubError, Repo, now
from .loopback_store import leaderboard as ranked


@route("GET", rf"{API}/discussions")
def list_discussions(call: Call, type: str, id: str) -> Answer:
    repo = call.repo(type, id)
    chosen = [
        found
        for found in repo.discussions.values()
        if call.query.get("author") in (None, found.author)
        and call.query.get("type") in (None, "all", "pull_request" if found.is_pull_request else "discussion")
        and call.query.get("status") in (None, "all", "open" if found.status in ("open", "draft") else "closed")
    ]
    page = int(call.query.get("p", "0"))
    listed = [_discussion(repo, found) for found in chosen] if page == 0 else []
    return as_json({"discussions": listed, "count": len(chosen), "start": 0})


@route("POST", rf"{API}/discussions")
def create_discussion(call: Call, type: str, id: str) -> Answer:
    repo = call.repo(type, id)
    call.may_propose(repo)
    asked, author = call.json, call.signed_in().name
    is_pull = bool(asked.get("pullRequest"))
    made = repo.open_pull_request(asked["title"], author, status="draft" if is_pull else "open", pull_request=is_pull)
    made.events.append(comment(author, asked.get("description") or ""))
    return as_json({"num": made.num})


@route("GET", rf"{API}/discussions/(?P<num>\d+)")
def discussion(call: Call, type: str, id: str, num: str) -> Answer:
    repo = call.repo(type, id)
    found = _find(repo, num)
    conflicts = repo.conflicts(found.num) if found.is_pull_request and found.status != "merged" else []
    details = {**_discussion(repo, found), "events": found.events, "filesWithConflicts": conflicts}
    if found.is_pull_request:
        merged = {"mergeCommitId": found.merge_oid} if found.merge_oid else {}
        changed = "\n".join(f"+++ {path}" for path in repo.changed_by(found.num)) if found.status != "merged" else ""
        details |= {"changes": {"base": "refs/heads/main", **merged}, "diff": changed}
    return as_json(details)


@route("POST", rf"{API}/discussions/(?P<num>\d+)/(?P<action>merge|status|comment)")
def act_on_discussion(call: Call, type: str, id: str, num: str, action: str) -> Answer:
    repo = call.repo(type, id, write=action == "merge")
    found, account = _find(repo, num), call.signed_in()
    if action == "merge":
        repo.merge(found.num, account.name)
        return as_json({})
    if action == "status":
        if account.name != found.author and not account.may_write(repo.namespace):
            raise HubError(403, "", "Only its author or the owner can change the status")
        found.status = call.json["status"]
        made = event("status-change", account.name, data={"status": found.status})
        found.events.append(made)
        return as_json({"newStatus": made})
    made = comment(account.name, call.json["comment"])
    found.events.append(made)
    return as_json({"newMessage": made})


@route("GET", r"/api/datasets/(?P<id>[^/]+/[^/]+)/leaderboard")
def leaderboard(call: Call, id: str) -> Answer:
    dataset = call.repo("dataset", id)
    models = [repo for (type, _), repo in call.hub.repos.items() if type == "model" and not repo.private]
    base_only = call.query.get("base_model", "true").lower() != "false"
    return as_json(ranked(dataset, models, task_id=call.query.get("task_id"), base_only=base_only))


def _find(repo: Repo, num: str) -> Discussion:
    try:
        return repo.discussions[int(num)]
    except KeyError:
        raise HubError(404, "", f"No discussion {num}") from None


def _discussion(repo: Repo, found: Discussion) -> dict[str, Any]:
    return {
        "num": found.num,
        "title": found.title,
        "author": {"name": found.author},
        "createdAt": now(),
        "status": found.status,
        "isPullRequest": found.is_pull_request,
        "repo": {"name": repo.id, "type": repo.type},
    }
