"""What MkDocs does besides for the documentation site: pages from files outside docs/, the rules in the navigation, and
links to files of the repository.

README.md is the home page, so that there is one text. A link to a file that is no page leads to the repository; one to
a file that does not exist makes the build fail, as any broken link does.
"""

from __future__ import annotations

import logging
import posixpath
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File

sys.path.insert(0, str(Path(__file__).resolve().parent))
import gallery  # beside this file, which MkDocs loads by its path

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = {
    "README.md": "index.md",
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""Files of the repository that are pages of the site, with their names there."""
LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
_log = logging.getLogger("mkdocs.hooks.site")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of the rules below their list, in its order."""
    for entry in config.nav or []:
        if "Rules" in entry:
            entry["Rules"] = [entry["Rules"], *_rules()]
    return config


def _rules() -> list[dict[str, list[dict[str, str]]]]:
    """The pages of the rules by group, as their list has them."""
    groups: list[dict[str, list[dict[str, str]]]] = []
    for line in (ROOT / "docs/checks/README.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            groups.append({line.removeprefix("## "): []})
        elif found := re.match(r"\| \[([a-z0-9-]+)\]", line):
            next(iter(groups[-1].values())).append({found[1]: f"checks/{found[1]}.md"})
    return groups


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    for source, name in OUTSIDE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=linked(text, source)))
    for name, page in gallery.pages().items():
        files.append(File.generated(config, name, content=page))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Make links that lead out of docs/ lead somewhere; where a tab has one page only, it gets the room beside it."""
    if page.parent is None:
        page.meta.setdefault("hide", ["navigation"])
    if page.file.src_uri in {*OUTSIDE.values(), gallery.INDEX}:
        return markdown  # done already, from where the file is, or made for the site
    return linked(markdown, f"docs/{page.file.src_uri}")


def linked(text: str, source: str) -> str:
    """`text` of the file `source` of the repository with its links as the site has them."""
    here = OUTSIDE.get(source, source.removeprefix("docs/"))

    def led(link: re.Match[str]) -> str:
        target, anchor = link[1], link[2] or ""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if not (ROOT / path).exists():
            _log.warning("%s links to %s, which does not exist", source, target)
            return link[0]
        page = OUTSIDE.get(path, path.removeprefix("docs/") if path.startswith("docs/") else "")
        if page:
            return posixpath.relpath(page, posixpath.dirname(here) or ".") + anchor
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"https://github.com/alembic-reviewer/alembic-reviewer/{kind}/main/{path}{anchor}"

    return LINK.sub(led, text)
