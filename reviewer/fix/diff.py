"""Changes to files as a unified diff that `git apply` takes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

_LINES = re.compile(rb"[^\n]*\n|[^\n]+\Z")


def unified(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> bytes:
    """From `before` to `after`, by path; what is not in `before` is a new file."""
    return b"".join(_file(path, before.get(path), after[path]) for path in sorted(after))


def lines_of(text: bytes) -> list[bytes]:
    """Its lines as a diff counts them, with their ends."""
    return _LINES.findall(text)


def _file(path: str, old: bytes | None, new: bytes) -> bytes:
    if old == new:
        return b""
    name = path.encode("utf-8", "surrogateescape")
    tab = b"\t" if b" " in name else b""
    head = b"diff --git a/%s b/%s\n" % (name, name)
    if old is None:
        head += b"new file mode 100644\n"
    first, second = lines_of(old or b""), lines_of(new)
    lines = difflib.diff_bytes(
        difflib.unified_diff,
        first,
        second,
        b"/dev/null" if old is None else b"a/" + name + tab,
        b"b/" + name + tab,
        lineterm=b"\n",
    )
    body = b"".join(line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n" for line in lines)
    return head + body
