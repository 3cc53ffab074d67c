"""The one comment on a GitHub of our own, directly and behind a proxy that knows GitHub's description."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from reviewer.github import comment
from reviewer.github.api import Api, Unavailable, _permission
from reviewer.github.comment import Mode, Outcome, Status
from reviewer.report import markdown
from reviewer.report.markdown import Place
from reviewer.review.verdict import Report
from tests.github.conftest import ConnectTo
from tests.github.fake import FakeGitHub, Fault
from tests.report import reports

PLACE = Place("https://github.com/octo-org/blog", "a" * 40, marker_id=comment.identity(""), run="100.1")


def body(report: Report = reports.TYPICAL, run: str = "100.1", name: str = "") -> str:
    return markdown.render(report, replace(PLACE, run=run, marker_id=comment.identity(name)))


def publish(api: Api, text: str, *, create: bool = True, mode: Mode = Mode.UPDATE) -> Outcome:
    return comment.publish(api, 7, text, create=create, mode=mode)


# -- the usual ways, held to GitHub's description --------------------------------------------------


def test_is_created_then_found_again_and_updated(either: FakeGitHub, connect: ConnectTo) -> None:
    api = connect(either)

    first = publish(api, body())
    second = publish(api, body(reports.CLEAN, run="101.1"))

    assert (first.status, second.status) == (Status.CREATED, Status.UPDATED)
    assert either.bodies == [body(reports.CLEAN, run="101.1")]
    assert first.url == second.url == f"https://github.com/octo-org/blog/pull/7#issuecomment-{3_000_000_001}"


def test_is_left_alone_when_it_says_the_same(either: FakeGitHub, connect: ConnectTo) -> None:
    publish(connect(either), body())
    before = len(either.requests)

    again = publish(connect(either), body(run="101.1"))

    assert again.status is Status.UNCHANGED
    assert {each.verb for each in either.requests[before:] if not each.operation} <= {"GET"}
    assert either.bodies == [body()]


def test_is_found_behind_130_comments_of_others(either: FakeGitHub, connect: ConnectTo) -> None:
    for n in range(130):
        either.write(f"comment {n}", "somebody")
    publish(connect(either), body())
    for n in range(130):
        either.write(f"comment {n}", "somebody")

    again = publish(connect(either), body(reports.CLEAN, run="101.1"))

    assert again.status is Status.UPDATED
    assert either.bodies == [body(reports.CLEAN, run="101.1")]


def test_a_foreign_comment_with_our_marker_is_never_touched(either: FakeGitHub, connect: ConnectTo) -> None:
    foreign = either.write(body(), "mallory")

    outcome = publish(connect(either), body(reports.CLEAN))

    assert outcome.status is Status.CREATED
    assert either.comments[foreign]["body"] == body()


def test_our_marker_in_the_middle_of_our_comment_means_nothing(either: FakeGitHub, connect: ConnectTo) -> None:
    either.write("> " + body())
    either.write("something else of ours\n\n" + body())

    assert publish(connect(either), body()).status is Status.CREATED


def test_a_token_that_may_not_write_is_an_outcome_that_names_the_permission(
    either: FakeGitHub, connect: ConnectTo
) -> None:
    either.may_write = False

    outcome = publish(connect(either), body())

    assert outcome.status is Status.FORBIDDEN
    assert "Resource not accessible by integration" in outcome.why
    assert "pull-requests: write" in outcome.why
    assert len([each for each in either.requests if each.verb == "POST" and not each.operation]) == 1


def test_too_long_a_body_is_a_failure_and_not_a_crash(either: FakeGitHub, connect: ConnectTo) -> None:
    outcome = publish(connect(either), body() + "x" * 66_000)

    assert outcome.status is Status.FAILED
    assert "body is too long" in outcome.why


def test_a_comment_that_somebody_deletes_meanwhile_is_written_anew(either: FakeGitHub, connect: ConnectTo) -> None:
    publish(connect(either), body())
    either.faults.append(Fault("PATCH", "comments", then=either.comments.clear, harmless=True))

    outcome = publish(connect(either), body(reports.CLEAN, run="101.1"))

    assert outcome.status is Status.CREATED
    assert either.bodies == [body(reports.CLEAN, run="101.1")]


def test_recreate_deletes_the_earlier_one(either: FakeGitHub, connect: ConnectTo) -> None:
    publish(connect(either), body())

    outcome = publish(connect(either), body(reports.CLEAN, run="101.1"), mode=Mode.RECREATE)

    assert outcome.status is Status.CREATED
    assert [each["body"] for each in either.comments.values()] == [body(reports.CLEAN, run="101.1")]


# -- which comment ---------------------------------------------------------------------------------


def test_two_ids_are_two_comments(github: FakeGitHub, api: Api) -> None:
    publish(api, body(name="shop"))
    publish(api, body(name="billing"))
    publish(api, body(reports.CLEAN, run="101.1", name="shop"))

    assert github.bodies == [body(reports.CLEAN, run="101.1", name="shop"), body(name="billing")]


def test_an_older_run_never_overwrites_a_newer_one(github: FakeGitHub, api: Api) -> None:
    publish(api, body(reports.CLEAN, run="9000000000.2"))

    for run in ("8999999999.7", "9000000000.1"):
        outcome = publish(api, body(run=run))

        assert outcome.status is Status.UNCHANGED
        assert "newer run" in outcome.why
    assert github.bodies == [body(reports.CLEAN, run="9000000000.2")]


def test_a_later_attempt_of_the_same_run_overwrites(api: Api) -> None:
    publish(api, body(run="100.9"))

    assert publish(api, body(reports.CLEAN, run="100.10")).status is Status.UPDATED


def test_a_hidden_comment_stays_hidden_and_a_new_one_is_written(github: FakeGitHub, api: Api) -> None:
    github.write(body(), hidden=True)

    assert publish(api, body()).status is Status.CREATED


def test_nothing_to_say_makes_no_comment_but_turns_an_earlier_one_green(github: FakeGitHub, api: Api) -> None:
    assert publish(api, body(reports.NOTHING_NEW), create=False).status is Status.SKIPPED
    assert github.comments == {}
    publish(api, body())

    outcome = publish(api, body(reports.NOTHING_NEW, run="101.1"), create=False)

    assert outcome.status is Status.UPDATED
    assert "✅" in github.bodies[0]
    assert "no new revision" in github.bodies[0]


def test_of_several_comments_of_ours_one_stays(github: FakeGitHub, api: Api) -> None:
    for run in ("98.1", "99.1", "97.1"):
        github.write(body(run=run))

    publish(api, body(reports.CLEAN, run="101.1"))

    assert github.bodies == [body(reports.CLEAN, run="101.1")]
    assert [each["why"] for each in github.comments.values()].count("DUPLICATE") == 2


def test_two_runs_at_once_leave_the_newer_ones_comment(github: FakeGitHub, api: Api) -> None:
    newer, older = body(reports.CLEAN, run="101.1"), body(run="100.1")
    # the newer run writes between the list and the comment of the older one
    github.faults.append(Fault("POST", "issues/7/comments", then=lambda: github.write(newer), harmless=True))

    publish(api, older)

    assert github.bodies == [newer]


def test_hide_and_recreate_folds_the_earlier_one(github: FakeGitHub, api: Api) -> None:
    publish(api, body())

    outcome = publish(api, body(reports.CLEAN, run="101.1"), mode=Mode.HIDE_AND_RECREATE)

    assert outcome.status is Status.CREATED
    assert github.bodies == [body(reports.CLEAN, run="101.1")]
    assert [each["why"] for each in github.comments.values()] == ["OUTDATED", ""]


def test_a_newer_run_url_alone_is_no_reason_to_write(api: Api) -> None:
    def at(run: str) -> str:
        url = f"https://github.com/octo-org/blog/actions/runs/{run}"
        return markdown.render(reports.TYPICAL, replace(PLACE, run=run, run_url=url))

    publish(api, at("100"))

    assert publish(api, at("101")).status is Status.UNCHANGED


def test_a_comment_that_a_browser_has_saved_with_other_line_ends_is_the_same(github: FakeGitHub, api: Api) -> None:
    github.write(body().replace("\n", "\r\n"))

    assert publish(api, body()).status is Status.UNCHANGED


def test_a_body_without_a_marker_is_a_mistake_of_ours(api: Api) -> None:
    with pytest.raises(ValueError, match="marker"):
        publish(api, "no marker")


# -- what goes wrong -------------------------------------------------------------------------------


def test_a_comment_that_was_created_before_the_server_broke_is_not_created_twice(
    github: FakeGitHub, api: Api
) -> None:
    github.faults.append(Fault("POST", "issues/7/comments", status=500, after=True))

    outcome = publish(api, body())

    assert outcome.status is Status.CREATED
    assert github.bodies == [body()]
    assert github.asked("POST").count("POST /repos/octo-org/blog/issues/7/comments") == 1


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_comment_that_was_not_created_is_tried_again(
    github: FakeGitHub, api: Api, status: int, pauses: list[float]
) -> None:
    github.faults.append(Fault("POST", "issues/7/comments", status=status))

    assert publish(api, body()).status is Status.CREATED
    assert github.bodies == [body()]
    assert pauses == [1.0]


def test_a_server_that_stays_broken_is_a_failure(github: FakeGitHub, api: Api) -> None:
    github.faults.append(Fault("POST", "issues/7/comments", status=502, times=99))

    outcome = publish(api, body())

    assert outcome.status is Status.FAILED
    assert "502" in outcome.why


def test_an_update_on_a_bad_gateway_is_tried_again(github: FakeGitHub, api: Api, pauses: list[float]) -> None:
    publish(api, body())
    github.faults.append(Fault("PATCH", "issues/comments", status=502, times=2))

    assert publish(api, body(reports.CLEAN, run="101.1")).status is Status.UPDATED
    assert pauses == [1.0, 2.0]


def test_a_hang_after_the_comment_was_created_does_not_create_it_twice(
    github: FakeGitHub, connect: ConnectTo
) -> None:
    github.faults.append(Fault("POST", "issues/7/comments", hang=True, then=lambda: github.write(body())))

    outcome = publish(connect(github, timeout=1), body())

    assert outcome.status is Status.CREATED
    assert github.bodies == [body()]


def test_a_hang_when_listing_is_tried_again(github: FakeGitHub, connect: ConnectTo) -> None:
    github.faults.append(Fault("POST", "Comments", hang=True))

    assert publish(connect(github, timeout=1), body()).status is Status.CREATED


@pytest.mark.parametrize(
    ("fault", "waited"),
    [
        pytest.param(Fault("PATCH", "", 429, "slow down", {"Retry-After": "7"}), 7.0, id="429 with Retry-After"),
        pytest.param(Fault("PATCH", "", 429, "slow down"), 60.0, id="429 without"),
        pytest.param(
            Fault("PATCH", "", 403, "You have exceeded a secondary rate limit.", {"Retry-After": "5"}),
            5.0,
            id="secondary limit",
        ),
        pytest.param(
            Fault("PATCH", "", 403, "You have exceeded a secondary rate limit."),
            60.0,
            id="secondary limit, no time",
        ),
    ],
)
def test_waits_as_long_as_github_wants(
    github: FakeGitHub, api: Api, fault: Fault, waited: float, pauses: list[float]
) -> None:
    publish(api, body())
    github.faults.append(replace(fault, times=1))

    assert publish(api, body(reports.CLEAN, run="101.1")).status is Status.UPDATED
    assert pauses == [waited]


def test_a_limit_on_a_new_comment_is_waited_for_too(github: FakeGitHub, api: Api, pauses: list[float]) -> None:
    github.faults.append(Fault("POST", "issues/7/comments", 429, "slow down", {"Retry-After": "3"}))

    assert publish(api, body()).status is Status.CREATED
    assert pauses == [3.0]
    assert len(github.bodies) == 1


@pytest.mark.parametrize(
    "headers",
    [{"Retry-After": "3600"}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999"}],
    ids=["an hour of Retry-After", "a reset in the far future"],
)
def test_waits_no_longer_than_the_budget(
    github: FakeGitHub, api: Api, headers: dict[str, str], pauses: list[float]
) -> None:
    github.faults.append(Fault("POST", "Comments", 403, "API rate limit exceeded", headers))

    outcome = publish(api, body())

    assert outcome.status is Status.FAILED
    assert "retry after" in outcome.why
    assert pauses == []


def test_all_waiting_together_stays_within_the_budget(github: FakeGitHub, api: Api, pauses: list[float]) -> None:
    github.faults.append(Fault("POST", "Comments", 429, "slow down", {"Retry-After": "50"}, times=9))

    assert publish(api, body()).status is Status.FAILED
    assert pauses == [50.0, 50.0]


def test_a_bad_token_is_said(github: FakeGitHub, api: Api) -> None:
    github.faults.append(Fault("POST", "Comments", 401, "Bad credentials"))

    outcome = publish(api, body())

    assert outcome.status is Status.FORBIDDEN
    assert "rejected the token" in outcome.why


def test_a_pull_request_that_is_not_there_is_said(github: FakeGitHub, api: Api) -> None:
    outcome = comment.publish(api, 8, body())

    assert outcome.status is Status.FORBIDDEN
    assert github.comments == {}


def test_what_is_not_githubs_api_is_said(github: FakeGitHub, api: Api) -> None:
    github.faults.append(Fault("POST", "Comments", 200, "hello"))

    with pytest.raises(Unavailable, match="not GitHub's API"):
        api.comments(7)


# -- cost and secrecy ------------------------------------------------------------------------------


def test_the_usual_update_takes_two_requests(github: FakeGitHub, api: Api) -> None:
    publish(api, body())
    github.requests.clear()

    publish(api, body(reports.CLEAN, run="101.1"))

    assert github.asked() == ["Comments", "PATCH /repos/octo-org/blog/issues/comments/3000000001"]


def test_on_an_enterprise_server_paths_have_a_prefix(connect: ConnectTo) -> None:
    with FakeGitHub(prefix="/api/v3") as github:
        # GraphQL stands beside the prefix there, where this server has nothing
        outcome = publish(connect(github), body())

        assert outcome.status is Status.CREATED
        assert github.bodies == [body()]


def test_the_token_is_in_no_message(github: FakeGitHub, api: Api) -> None:
    github.faults.append(Fault("POST", "Comments", 401, "Bad credentials"))

    assert not re.search("secret", publish(api, body()).why + repr(github.asked()))
    assert github.tokens == {"token secret"}


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("pull_requests=write", "the permission `pull-requests: write`."),
        ("issues=write; pull_requests=write", "the permission `issues: write`, or `pull-requests: write`."),
        (
            "contents=read,issues=write; pull_requests=write",
            "the permissions `contents: read` and `issues: write`, or `pull-requests: write`.",
        ),
        ("", "the permission `pull-requests: write`."),
    ],
)
def test_alternatives_of_permissions_are_read_as_alternatives(header: str, words: str) -> None:
    headers = {"x-accepted-github-permissions": header} if header else {}

    assert _permission(headers) == f"Give the job {words}"


def test_waits_a_second_between_two_changes_and_not_for_a_query(github: FakeGitHub) -> None:
    pauses: list[float] = []
    with Api("secret", "octo-org/blog", github.public_url, pause=pauses.append) as api:
        first = publish(api, body())
        assert (first.status, pauses) == (Status.CREATED, [])

        api.comments(7)
        publish(api, body(reports.CLEAN, run="101.1"))

    assert [0 < each <= 1 for each in pauses] == [True]
