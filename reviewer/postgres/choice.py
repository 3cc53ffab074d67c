"""Which server to use: the available ones in order of preference, and the first that fits and starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from reviewer.errors import ServerError, UsageError
from reviewer.host.guardian import Guardian
from reviewer.postgres import container, embedded, local
from reviewer.postgres.cluster import Choose, choose_none, own_server
from reviewer.postgres.request import NEWEST, OLDEST, SOURCES, Candidate, ServerRequest
from reviewer.postgres.server import MAKE_ROOM, RunningServer


def candidates(request: ServerRequest) -> tuple[Candidate, ...]:
    """Return every server that could be started here, in order of preference, and those that cannot, each with its
    reason.

    Servers with another version or with missing extensions are included. Starts no server.
    """
    if request.is_url:
        return ()
    return tuple(found for source in _sources(request) for found in _candidates_of(source, request))


@contextmanager
def start(request: ServerRequest, guardian: Guardian, choose: Choose = choose_none) -> Iterator[RunningServer]:
    """Provide a server that satisfies `request` for as long as the context lasts. It can be used from any thread.

    A server from binaries on this machine starts from the snapshot that `choose` returns for them, if any.

    `auto` continues with the next candidate if one does not fit or does not start. If no candidate has a requested
    extension, a server is started anyway; the statement that needs the extension will fail.

    Raises:
        UsageError: there is no such source, or the version is not supported.
        ServerError: no server can be started; the message says what is wrong with each.
    """
    _refuse_nonsense(request)
    if request.is_url:
        from reviewer.postgres.url import url_server

        with url_server(request, guardian) as server:
            yield server
        return
    passed: list[str] = []
    for candidate, reason in _in_order(request, passed):
        context = _server(candidate, reason, request, guardian, choose)
        try:
            server = context.__enter__()
        except ServerError as error:
            if "No space left on device" in error.sentence:  # others would need the same space
                raise ServerError(error.sentence, MAKE_ROOM) from error
            if request.source != "auto":
                raise
            passed.append(error.sentence.rstrip("."))
            continue
        # Entered explicitly, so that only the start is retried, and never what happens while the server is in use.
        with _entered(context, server):
            yield server
        return
    raise _nothing_fits(request, passed)


@contextmanager
def _entered(context: AbstractContextManager[RunningServer], server: RunningServer) -> Iterator[RunningServer]:
    try:
        yield server
    except BaseException as error:
        if not context.__exit__(type(error), error, error.__traceback__):
            raise
    else:
        context.__exit__(None, None, None)


def _server(
    candidate: Candidate, reason: str, request: ServerRequest, guardian: Guardian, choose: Choose
) -> AbstractContextManager[RunningServer]:
    def why(version: str) -> str:
        return f"{candidate.named(version)}: {reason}"

    def others() -> tuple[Candidate, ...]:
        everything = ServerRequest(version=request.version, image=request.image)
        return tuple(other for other in candidates(everything) if other != candidate)

    if candidate.source == "container":
        return container.container_server(candidate, guardian, why, others)
    return own_server(candidate, guardian, why, others, choose, large=request.large)


def _in_order(request: ServerRequest, passed: list[str]) -> Iterator[tuple[Candidate, str]]:
    """Yield the candidates that fit, each with the reason for choosing it, then those that only lack extensions.

    The reasons for rejecting others are added to `passed`. Sources are searched one after the other: most runs stop
    at the first.
    """
    lacking: list[tuple[int, Candidate]] = []
    for source in _sources(request):
        found = _candidates_of(source, request)
        usable = [one for one in found if not one.problem and _version_fits(one, request)]
        if not usable:
            passed.append(_why_none(source, found, request))
        for one in usable:
            lacks = one.lacks(request.extensions)
            if lacks:
                lacking.append((len(lacks), one))
                passed.append(f"{one} lacks {_extensions(lacks)}")
            else:
                yield one, _reason(request, passed)
    for _, one in sorted(lacking, key=lambda pair: pair[0]):
        yield one, f"no server that was found has {_extensions(one.lacks(request.extensions))}"


def _reason(request: ServerRequest, passed: list[str]) -> str:
    if request.source != "auto":
        return "as asked for"
    if request.image:
        return "its image was given"
    return "; ".join(passed) or "installed on this machine"


def _extensions(names: frozenset[str]) -> str:
    return f"the extension{'' if len(names) == 1 else 's'} {_listed(names)}"


def _why_none(source: str, found: tuple[Candidate, ...], request: ServerRequest) -> str:
    wanted = f"of version {request.version}" if request.version else f"of a version from {OLDEST} to {NEWEST}"
    for one in found:
        if one.problem and source != "container":
            return f"{source}: {one.problem}"
    if source == "container":
        return f"container: {found[0].problem}"
    there = [one.version for one in found if one.version]
    what = "local binaries" if source == "local" else "embedded binaries"
    if there:
        return f"no {what} {wanted} were found, only {_listed(there)}"
    return f"no {what} {wanted} were found" if request.version else f"no {what} were found"


def _version_fits(candidate: Candidate, request: ServerRequest) -> bool:
    if candidate.version is None:
        return True
    return candidate.supported and request.version in {None, candidate.major}


def _candidates_of(source: str, request: ServerRequest) -> tuple[Candidate, ...]:
    if source == "container":
        return container.candidates(request)
    if source == "embedded":
        return embedded.candidates()
    found = local.candidates()
    # Binaries that the user named explicitly are not silently replaced by others.
    return found[:1] if request.source == "local" and local.asked_for() else found


def _sources(request: ServerRequest) -> tuple[str, ...]:
    # An image that was named explicitly must be used.
    if request.source == "auto":
        return ("container",) if request.image else SOURCES
    return (request.source,)


def _refuse_nonsense(request: ServerRequest) -> None:
    if not request.is_url and request.source not in {"auto", *SOURCES}:
        raise UsageError(
            f"{request.source!r} is not a source of servers.", f"Use auto, {', '.join(SOURCES)} or a URL."
        )
    if request.version is not None and not OLDEST <= request.version <= NEWEST:
        raise UsageError(
            f"PostgreSQL {request.version} is not supported.", f"Use a version from {OLDEST} to {NEWEST}."
        )


def _nothing_fits(request: ServerRequest, passed: list[str]) -> ServerError:
    wanted = f"PostgreSQL {request.version}" if request.version else "PostgreSQL"
    ways = {
        "local": "Install its server package, set PG_CONFIG, or leave --postgres out.",
        "embedded": "The embedded binaries are of versions 18 and 16: use --postgres-version 18, or another --postgres.",
        "container": "Start Docker, or use --postgres embedded.",
        "auto": "Install its server package, start Docker, or use --postgres-version 18, which is embedded.",
    }
    return ServerError(f"No {wanted} is available: {'; '.join(passed)}.", ways[request.source])


def _listed(words: frozenset[str] | list[str]) -> str:
    return ", ".join(sorted(words))
