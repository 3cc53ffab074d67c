"""The pictures of the README: a review of the gallery as a comment and in a terminal.

`python -m tests.github.readme` writes them to docs/assets.
"""

from __future__ import annotations

import html
import re
import tempfile
from pathlib import Path

from msgspec.structs import replace

from reviewer.report import text
from reviewer.report.terminal import Terminal
from tests.gallery import gallery
from tests.github import pictures

FOLDER = Path(__file__).parent.parent.parent / "docs" / "assets"
EXHIBIT = "optuna-3.2.0"
PICTURES = ("comment.png", "terminal.png")
_COLUMNS = 100
_ESCAPE = re.compile("\x1b\\[([0-9;]*)m")
_STYLES = {
    "1": "font-weight: bold",
    "2": "opacity: .65",
    "31": "color: #ff7b72",
    "33": "color: #e3b341",
    "90": "color: #9198a1",
    "94": "color: #79c0ff",
}
"""What the escape sequences that a report contains look like."""
_PAGE = """<!doctype html><meta charset="utf-8"><style>
html, body {{ margin: 0; background: #0d1117 }}
pre {{ margin: 0; padding: 16px; width: {columns}ch; color: #e6edf3; font: 14px/1.4 "DejaVu Sans Mono", monospace;
  white-space: pre-wrap }}
</style><article style="width: max-content"><pre>{body}</pre></article><pre id="measured" hidden></pre><script>
const page = document.querySelector("article");
document.getElementById("measured").textContent =
  JSON.stringify({{height: page.offsetHeight, width: page.offsetWidth, wide: [], text: page.innerText}});
</script>"""


def write(folder: Path) -> None:
    """Write the pictures to `folder`."""
    (exhibit,) = (each for each in gallery().EXHIBITS if each.name == EXHIBIT)
    report = replace(gallery().report(exhibit), replayed=False)  # as it was when it was recorded
    with tempfile.TemporaryDirectory() as work:
        pictures.picture(report, "light", Path(work, PICTURES[0]))
        source = Path(work, "terminal.html")
        printed = text.render(report, Terminal(width=_COLUMNS, colours="standard"))
        shown = f"<b>$ alembic-reviewer {' '.join(exhibit.command)}</b>\n{coloured(printed)}"
        source.write_text(_PAGE.format(columns=_COLUMNS, body=shown), encoding="utf-8")
        size = pictures.measured(source)
        pictures.shown(
            source, f"--screenshot={Path(work, PICTURES[1])}", f"--window-size={size['width']},{size['height']}"
        )
        for name in PICTURES:
            (folder / name).write_bytes(Path(work, name).read_bytes())


def coloured(printed: str) -> str:
    """Text with escape sequences for colours, as HTML."""

    def styled(found: re.Match[str]) -> str:
        wanted = [_STYLES[code] for code in found[1].split(";") if code in _STYLES]
        return "</span><span>" if not wanted else f'</span><span style="{"; ".join(wanted)}">'

    return f"<span>{_ESCAPE.sub(styled, html.escape(printed))}</span>"


if __name__ == "__main__":
    write(FOLDER)
