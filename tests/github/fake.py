"""A GitHub of our own: a real HTTP server that remembers what it was told, and breaks where a test says so.

It knows what `reviewer/github/` asks for and nothing else. Replies are filled from the examples of GitHub's own
description, so that they can be held to that description by a proxy.
"""

from __future__ import annotations

import copy
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from msgspec import Struct

DATA = Path(__file__).parent / "data"
REPOSITORY = "octo-org/blog"
BOT = "github-actions[bot]"
LONGEST = 65_536

Reply = tuple[int, Any]


class Fault(Struct):
    """What goes wrong with the next request that matches, once or `times` times."""

    verb: str
    path: str
    """A regular expression; for GraphQL the name of the operation."""
    status: int = 500
    message: str = "Server Error"
    headers: dict[str, str] = {}
    after: bool = False
    """The request is carried out, and only then answered with the fault."""
    hang: bool = False
    """No answer comes at all."""
    times: int = 1
    then: Callable[[], object] | None = None
    """Called when it strikes: what somebody else does meanwhile."""
    harmless: bool = False
    """Answer as if nothing were wrong: only `then` matters."""


@dataclass
class Request:
    """A request that came in."""

    verb: str
    path: str
    operation: str
    """Name of the GraphQL operation, empty for REST."""


class FakeGitHub:
    """Use as a context manager; `url` is the address of its API."""

    def __init__(self, *, pull_request: int = 7, head: str = "a" * 40, prefix: str = "", port: int = 0) -> None:
        self.number = pull_request
        self.head = head
        self.head_label = "octo-org:feature"
        self.state = "open"
        self.me = BOT
        self.may_write = True
        self.graphql = True
        self.knows_user = False
        self.comments: dict[int, dict[str, Any]] = {}
        self.reviews: list[dict[str, Any]] = []
        self.threads: list[dict[str, Any]] = []
        self.files: list[dict[str, Any]] = []
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.tokens: set[str] = set()
        self.prefix = prefix
        self._port = port
        self.public_url = ""
        self._next = 3_000_000_001  # more than 32 bits hold, as on github.com
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._examples = json.loads((DATA / "openapi.json").read_bytes())["components"]["examples"]

    def __enter__(self) -> FakeGitHub:
        fake = self

        class Handler(_Handler):
            github = fake

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.public_url = self.public_url or self.url
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{self.prefix}"

    # -- what tests do and look at ----------------------------------------------------------------

    def write(self, body: str, author: str | None = None, *, hidden: bool = False) -> int:
        """A comment, as if somebody had written it in a browser."""
        with self._lock:
            number = self._next
            self._next += 1
            author = author or self.me
            self.comments[number] = {"id": number, "body": body, "author": author, "hidden": hidden, "why": ""}
            return number

    @property
    def bodies(self) -> list[str]:
        """What stands on the pull request to be seen, by us, oldest first."""
        return [c["body"] for c in self.comments.values() if not c["hidden"] and c["author"] == self.me]

    def asked(self, verb: str = "") -> list[str]:
        """What was asked for, in order: `POST /repos/...` or the name of a GraphQL operation."""
        return [
            each.operation or f"{each.verb} {each.path}" for each in self.requests if not verb or each.verb == verb
        ]

    # -- what it answers --------------------------------------------------------------------------

    def answer(self, verb: str, target: str, body: Any) -> Reply:
        """Status and JSON for one request."""
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        path = url.path
        own = f"/repos/{REPOSITORY}"
        routes: list[tuple[str, str, Callable[..., Reply]]] = [
            ("GET", r"/user", self._user),
            ("GET", own + r"/pulls", self._pulls),
            ("GET", own + r"/pulls/(\d+)", self._pull),
            ("GET", own + r"/pulls/(\d+)/files", self._files),
            ("POST", own + r"/pulls/(\d+)/reviews", self._review),
            ("GET", own + r"/commits/(\w+)/pulls", self._pulls_of),
            ("GET", own + r"/issues/(\d+)/comments", self._list),
            ("POST", own + r"/issues/(\d+)/comments", self._create),
            ("PATCH", own + r"/issues/comments/(\d+)", self._edit),
            ("DELETE", own + r"/issues/comments/(\d+)", self._delete),
        ]
        with self._lock:
            if path.endswith("/graphql"):
                return self._graphql(body)
            for method, pattern, handler in routes:
                if method == verb and (found := re.fullmatch(pattern, path)):
                    if verb != "GET" and not self.may_write:
                        return 403, {"message": "Resource not accessible by integration", "documentation_url": "x"}
                    return handler(query, body, *found.groups())
            return _missing()

    def _user(self, *_: Any) -> Reply:
        if not self.knows_user:
            return 403, {"message": "Resource not accessible by integration", "documentation_url": "x"}
        user = self._example("private-user-response-with-public-and-private-profile-information")
        return 200, {**user, "login": self.me}

    def _pulls(self, query: dict[str, str], *_: Any) -> Reply:
        found = query.get("head") == self.head_label and query.get("state") == self.state
        return 200, [self._simple()] if found and query.get("page", "1") == "1" else []

    def _pulls_of(self, query: dict[str, str], _: Any, sha: str) -> Reply:
        return 200, [self._simple()] if sha == self.head and query.get("page", "1") == "1" else []

    def _pull(self, _: Any, __: Any, number: str) -> Reply:
        if int(number) != self.number:
            return _missing()
        return 200, self._described(self._example("pull-request"))

    def _files(self, query: dict[str, str], _: Any, __: str) -> Reply:
        example = self._example("diff-entry-items")[0]
        return 200, [{**example, **each} for each in _page(self.files, query)]

    def _list(self, query: dict[str, str], _: Any, __: str) -> Reply:
        return 200, [self._shown(each) for each in _page(list(self.comments.values()), query)]

    def _create(self, _: Any, body: Any, number: str) -> Reply:
        if int(number) != self.number:
            return _missing()
        if problem := _too_long(body):
            return problem
        return 201, self._shown(self.comments[self.write(body["body"])])

    def _edit(self, _: Any, body: Any, number: str) -> Reply:
        comment = self.comments.get(int(number))
        if comment is None:
            return _missing()
        if problem := _too_long(body):
            return problem
        comment["body"] = body["body"]
        return 200, self._shown(comment)

    def _delete(self, _: Any, __: Any, number: str) -> Reply:
        return (204, None) if self.comments.pop(int(number), None) else _missing()

    def _review(self, _: Any, body: Any, __: str) -> Reply:
        for each in body.get("comments", []):
            hunks = [h for f in self.files if f["filename"] == each["path"] for h in _hunks(f["patch"])]
            first, last = each.get("start_line", each["line"]), each["line"]
            if "start_line" in each and not first < last:
                return _invalid("start_line must precede the end line.")
            if not any(first in hunk and last in hunk for hunk in hunks):
                return _invalid("Pull request review thread line must be part of the diff")
        self.reviews.append(body)
        for each in body.get("comments", []):
            self.remark(each["body"])
        return 200, {**self._example("pull-request-review"), "body": body["body"]}

    def remark(self, body: str, author: str | None = None, *, replies: int = 0) -> dict[str, Any]:
        """A conversation on a line of the diff."""
        node = {"id": f"PRRC_{len(self.threads)}", "body": body, "author": author or self.me, "hidden": False}
        self.threads.append({"first": node, "replies": replies, "why": ""})
        return self.threads[-1]

    def _graphql(self, body: Any) -> Reply:
        if not self.graphql:
            return _missing()
        operation = re.search(r"(?:query|mutation)\s+(\w+)", body["query"])
        variables = body["variables"]
        match operation and operation[1]:
            case "Comments":
                return 200, self._connection("comments", list(map(self._node, self.comments.values())), variables)
            case "Threads":
                return 200, self._connection("reviewThreads", list(map(self._thread_node, self.threads)), variables)
            case "Minimize":
                if not self.may_write:
                    message = "Resource not accessible by integration"
                    return 200, {
                        "data": {"minimizeComment": None},
                        "errors": [{"type": "FORBIDDEN", "message": message}],
                    }
                for comment in self.comments.values():
                    if f"IC_{comment['id']}" == variables["id"]:
                        comment["hidden"], comment["why"] = True, variables["why"]
                for thread in self.threads:
                    if thread["first"]["id"] == variables["id"]:
                        thread["first"]["hidden"], thread["why"] = True, variables["why"]
                return 200, {"data": {"minimizeComment": {"minimizedComment": {"isMinimized": True}}}}
        return 200, {"errors": [{"message": "unknown operation"}]}

    def _connection(self, name: str, nodes: list[Any], variables: dict[str, Any]) -> Any:
        if variables["number"] != self.number:
            missing = {"type": "NOT_FOUND", "message": "Could not resolve to a PullRequest"}
            return {"data": {"repository": {"pullRequest": None}}, "errors": [missing]}
        start = int(variables["after"] or 0)
        end = start + 100
        info = {"hasNextPage": end < len(nodes), "endCursor": str(end)}
        return {"data": {"repository": {"pullRequest": {name: {"pageInfo": info, "nodes": nodes[start:end]}}}}}

    def _node(self, comment: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": f"IC_{comment['id']}",
            "fullDatabaseId": str(comment["id"]),
            "body": comment["body"],
            "url": self._address(comment),
            "viewerDidAuthor": comment["author"] == self.me,
            "isMinimized": comment["hidden"],
        }

    def _thread_node(self, thread: dict[str, Any]) -> dict[str, Any]:
        first = thread["first"]
        node = {
            "id": first["id"],
            "body": first["body"],
            "viewerDidAuthor": first["author"] == self.me,
            "isMinimized": first["hidden"],
        }
        return {"comments": {"totalCount": 1 + thread["replies"], "nodes": [node]}}

    def _shown(self, comment: dict[str, Any]) -> dict[str, Any]:
        example = self._example("issue-comment")
        return {
            **example,
            "id": comment["id"],
            "node_id": f"IC_{comment['id']}",
            "body": comment["body"],
            "html_url": self._address(comment),
            "user": {**example["user"], "login": comment["author"]},
        }

    def _address(self, comment: dict[str, Any]) -> str:
        return f"https://github.com/{REPOSITORY}/pull/{self.number}#issuecomment-{comment['id']}"

    def _simple(self) -> dict[str, Any]:
        return self._described(self._example("pull-request-simple-items")[0])

    def _described(self, found: dict[str, Any]) -> dict[str, Any]:
        found["number"], found["state"] = self.number, self.state
        found["head"]["sha"] = self.head
        found["base"]["repo"]["full_name"] = REPOSITORY
        found["requested_teams"] = []  # those of GitHub's example lack what GitHub's description requires
        return found

    def _example(self, name: str) -> Any:
        # PyGithub insists that addresses in a reply are on the host that it asked
        text = json.dumps(self._examples[name]["value"]).replace("https://api.github.com", self.public_url)
        return copy.deepcopy(json.loads(text))

    def struck(self, verb: str, path: str, operation: str) -> Fault | None:
        """The fault that this request meets, if any."""
        with self._lock:
            for fault in self.faults:
                if fault.verb == verb and re.search(fault.path, operation or path) and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    github: FakeGitHub
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        github = self.github
        length = int(self.headers.get("content-length") or 0)
        raw = self.rfile.read(length)
        body = json.loads(raw) if raw else None
        path = self.path.removeprefix(github.prefix)
        found = (
            re.search(r"(?:query|mutation)\s+(\w+)", body["query"]) if path.endswith("/graphql") and body else None
        )
        operation = found[1] if found else ""
        github.tokens.add(self.headers.get("authorization", ""))
        github.requests.append(Request(self.command, path, operation))
        fault = github.struck(self.command, path, operation)
        if fault and fault.then:
            fault.then()
        if fault and fault.hang:
            github._stop.wait(30)
            self.close_connection = True
            return
        if fault is None or fault.after or fault.harmless:
            status, reply = github.answer(self.command, path, body)
        if fault and not fault.harmless:
            status, reply = fault.status, {"message": fault.message, "documentation_url": "https://docs.github.com"}
        self._reply(status, reply, fault.headers if fault else {})

    def _reply(self, status: int, reply: Any, headers: dict[str, str]) -> None:
        data = b"" if reply is None else json.dumps(reply).encode()
        self.send_response(status)
        if data:
            self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        # one request each, so that no thread waits for a second one when the server ends
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815  (the names that http.server looks for)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def patch(lines: int, start: int = 1) -> str:
    """The diff of a new file with that many lines."""
    return f"@@ -0,0 +{start},{lines} @@\n" + "\n".join(f"+line {n}" for n in range(lines))


def _hunks(text: str) -> Iterator[range]:
    for found in re.finditer(r"@@ -\d+(?:,\d+)? \+(\d+)(?:,(\d+))? @@", text or ""):
        yield range(int(found[1]), int(found[1]) + int(found[2] or 1))


def _page(items: list[Any], query: dict[str, str]) -> list[Any]:
    size, page = int(query.get("per_page", 30)), int(query.get("page", 1))
    return items[(page - 1) * size : page * size]


def _too_long(body: Any) -> Reply | None:
    if len(body["body"]) <= LONGEST:
        return None
    problem = {
        "resource": "IssueComment",
        "code": "custom",
        "field": "body",
        "message": f"body is too long (maximum is {LONGEST} characters)",
    }
    return 422, {"message": "Validation Failed", "errors": [problem], "documentation_url": "x"}


def _invalid(message: str) -> Reply:
    # the review endpoint answers with plain sentences where others have objects
    return 422, {"message": "Unprocessable Entity", "errors": [message], "documentation_url": "x"}


def _missing() -> Reply:
    return 404, {"message": "Not Found", "documentation_url": "https://docs.github.com/rest", "status": "404"}
