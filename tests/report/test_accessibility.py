"""The pages for a browser under axe-core, in Chromium: people can read them, and reach everything with the keyboard."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest

from reviewer.report import html as review
from tests.gallery import gallery
from tests.github import npm, pictures
from tests.report import reports

pytestmark = pytest.mark.processes

RELEASE = "gallery/optuna-3.0.0-release.html"
"""A page with a timeline, an order, a plan and findings."""
_POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
"""It would keep axe-core from running in the page."""
_RUN = """
axe.run(document).then(found => {
  const told = document.createElement("pre");
  told.id = "axe";
  told.textContent = JSON.stringify({
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    rules: found.passes.length,
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    cut: [...document.querySelectorAll(".wide")].filter(each => each.scrollWidth > each.clientWidth).length,
    violations: found.violations.map(each => [each.id, ...each.nodes.map(node => node.html.slice(0, 150))]),
  });
  document.body.append(told);
});
"""


def checked(page: str, file: Path, scheme: str, width: int) -> dict[str, Any]:
    """What axe-core finds in `page`, and by how many pixels it is too wide."""
    axe = (npm.package("axe-core") / "axe.min.js").read_text(encoding="utf-8")
    file.write_text(
        _POLICY.sub("", page).replace("</body>", f"<script>{axe}</script><script>{_RUN}</script></body>"),
        encoding="utf-8",
    )
    colours = f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}"
    dom = pictures.shown(file, "--dump-dom", f"--window-size={width},1000", colours)
    found = re.search(r'<pre id="axe">(.*?)</pre>', dom, re.DOTALL)
    assert found, dom[-1000:]
    result: dict[str, Any] = json.loads(html.unescape(found[1]))
    assert result["dark"] == (scheme == "dark")
    return result


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 500)])
@pytest.mark.parametrize("page", ["review", "release"])
def test_axe_finds_nothing_and_nothing_sticks_out(page: str, scheme: str, width: int, tmp_path: Path) -> None:
    text = review.render(reports.TYPICAL) if page == "review" else gallery().pages()[RELEASE]

    found = checked(text, tmp_path / "page.html", scheme, width)

    assert found["rules"] > 10
    assert found["violations"] == []
    assert found["wide"] <= 0


def test_axe_and_the_width_notice_what_is_wrong(tmp_path: Path) -> None:
    text = '<html lang="en"><title>x</title><body><p style="color: #777; width: 2000px">pale</p></body></html>'

    found = checked(text, tmp_path / "page.html", "light", 1280)

    assert {"color-contrast", "landmark-one-main", "region"} <= {each[0] for each in found["violations"]}
    assert found["wide"] > 0


def test_no_table_is_cut_off_on_a_phone_however_long_a_name_is(tmp_path: Path) -> None:
    text = gallery().pages()[RELEASE]
    cell = f'<td data-label="statement"><span>{"2025_a_long_name_" * 6}.py:39</span></td><td data-label'
    assert "<td data-label" in text

    found = checked(text.replace("<td data-label", cell, 1), tmp_path / "page.html", "light", 500)

    assert found["cut"] == 0
