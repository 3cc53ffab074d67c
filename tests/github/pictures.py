"""The comment as people see it: GitHub's own Markdown parser, GitHub's style, and Chromium.

`python -m tests.github.pictures FOLDER` leaves the pictures in FOLDER: three pull requests, light and dark.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from reviewer.report import markdown
from reviewer.report.markdown import Place
from reviewer.review.verdict import Report
from tests.github import npm
from tests.report import reports

SHOWN = {"clean": reports.CLEAN, "typical": reports.TYPICAL, "terrible": reports.TERRIBLE}
SCHEMES = ("light", "dark")
PLACE = Place(
    "https://github.com/octo-org/blog",
    "5f" * 20,
    run_url="https://github.com/octo-org/blog/actions/runs/1000",
    marker_id="0123456789ab",
    run="1000.1",
)
WIDTH = 802
"""Pixels of a comment's text on a wide screen."""
_MARGIN = 32

_PAGE = """<!doctype html><html data-theme="{scheme}"><meta charset="utf-8"><style>
@font-face {{ font-family: emoji; src: url("{emoji}"); unicode-range: U+2000-2BFF, U+FE0F, U+1F000-1FAFF; }}
{css}
html, body {{ margin: 0; background: {background}; }}
.markdown-body {{ width: {width}px; padding: 16px; font-size: 14px; font-family: emoji, -apple-system, "Segoe UI",
  "Noto Sans", Helvetica, Arial, sans-serif; }}
</style><body><article class="markdown-body">{body}</article><pre id="measured" hidden></pre><script>
const page = document.querySelector("article");
const wide = [...page.querySelectorAll("p, li, h3, h4, table, pre, summary")]
  .filter(each => each.getBoundingClientRect().right > page.getBoundingClientRect().right)
  .map(each => each.outerHTML.slice(0, 200));
document.getElementById("measured").textContent =
  JSON.stringify({{height: page.offsetHeight, wide, text: page.innerText}});
</script></html>"""


def chromium() -> str:
    """The command; the test is skipped where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("there is no Chromium")


def page(body: str, scheme: str, *, unfolded: bool = False) -> str:
    """`body` as a page that GitHub would show."""
    import cmarkgfm  # type: ignore[import-untyped]  # it has no types
    from cmarkgfm.cmark import Options  # type: ignore[import-untyped]  # as above

    css = (npm.package("github-markdown-css") / f"github-markdown-{scheme}.css").read_text()
    fonts = npm.package("@fontsource/noto-color-emoji") / "files"
    emoji = next(fonts.glob("noto-color-emoji-emoji-*-normal.woff2"))
    rendered = cmarkgfm.github_flavored_markdown_to_html(body, options=Options.CMARK_OPT_UNSAFE)
    if unfolded:
        rendered = rendered.replace("<details>", "<details open>")
    background = "#0d1117" if scheme == "dark" else "#ffffff"
    return _PAGE.format(
        scheme=scheme, css=css, emoji=emoji.as_uri(), background=background, width=WIDTH - 32, body=rendered
    )


def measured(file: Path) -> dict[str, object]:
    """What Chromium says of the page: its height, what sticks out, and what is to be read."""
    dom = shown(file, "--dump-dom", f"--window-size={WIDTH + _MARGIN},1000")
    found = re.search(r'<pre id="measured" hidden="">(.*?)</pre>', dom, re.DOTALL)
    assert found, dom[-1000:]
    result: dict[str, object] = json.loads(html.unescape(found[1]))
    return result


def picture(report: Report, scheme: str, file: Path, *, unfolded: bool = False) -> dict[str, object]:
    """Write a picture of the comment to `file` and return what was measured."""
    source = file.with_suffix(".html")
    source.write_text(page(markdown.render(report, PLACE), scheme, unfolded=unfolded))
    found = measured(source)
    shown(source, f"--screenshot={file}", f"--window-size={WIDTH + _MARGIN},{found['height']}")
    return found


def shown(file: Path, *arguments: str) -> str:
    with tempfile.TemporaryDirectory() as profile:
        command = [chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += ["--virtual-time-budget=3000", f"--user-data-dir={profile}", *arguments, file.as_uri()]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=120, stdin=subprocess.DEVNULL
        )
    return done.stdout


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, report in SHOWN.items():
        for scheme in SCHEMES:
            picture(report, scheme, folder / f"{name}-{scheme}.png")
        picture(report, "light", folder / f"{name}-unfolded.png", unfolded=True)


if __name__ == "__main__":
    main()
