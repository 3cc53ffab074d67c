"""The documentation site: it is built without a warning, no link in it is broken, and nothing is loaded from elsewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import checks
from tests.gallery import gallery

ROOT = Path(__file__).parent.parent
REPOSITORY = "https://github.com/alembic-reviewer/alembic-reviewer"
pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("site")]


class Page(HTMLParser):
    """The links and the anchors of a page that was built."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember what leads somewhere, what is loaded, and where links can lead."""
        named = dict(attrs)
        for name in ("id", "name"):
            if value := named.get(name):
                self.anchors.add(value)
        target = named.get("href") or named.get("src")
        if target and (tag in {"script", "img", "source", "iframe"} or "stylesheet" in (named.get("rel") or "")):
            self.loaded.add(target)
        elif target:
            self.links.add(target)


class Site:
    """What was built."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def pages(self) -> dict[Path, Page]:
        """Every page of it, by its file."""
        return {path: Page(path) for path in sorted(self.folder.rglob("*.html"))}

    def file(self, page: Path, link: str) -> Path:
        """The file that a link on a page leads to."""
        path = unquote(urlsplit(link).path)
        found = page if not path else (page.parent / path).resolve()
        return found / "index.html" if found.is_dir() else found

    def broken(self, page: Path, link: str) -> bool:
        """Whether it leads to nothing in the site."""
        file, anchor = self.file(page, link), unquote(urlsplit(link).fragment)
        return not file.is_file() or bool(anchor and file in self.pages and anchor not in self.pages[file].anchors)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site as it is published: a warning, as of a link that leads nowhere, would make the build fail."""
    folder = tmp_path_factory.mktemp("site") / "site"
    done = build(ROOT / "mkdocs.yml", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return Site(folder.resolve())


def build(configuration: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(configuration), "-d", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_link_in_the_site_is_broken(site: Site) -> None:
    inside = [
        (path, link)
        for path, page in site.pages.items()
        if path.name != "404.html"  # it is shown at any address, so its links begin at the root
        for link in page.links | page.loaded
        if not urlsplit(link).scheme and not link.startswith("//")
    ]
    assert len(inside) > len(site.pages)

    assert [(path.relative_to(site.folder), link) for path, link in inside if site.broken(path, link)] == []


def test_a_link_to_the_repository_leads_to_a_file_of_it(site: Site) -> None:
    pattern = re.compile(rf"{REPOSITORY}/(?:blob|tree)/main/([^#]+)")
    named = {found[1] for page in site.pages.values() for each in page.links if (found := pattern.match(each))}

    assert "examples/posts_service/README.md" in named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_nothing_is_loaded_from_elsewhere(site: Site) -> None:
    loaded = {each for page in site.pages.values() for each in page.loaded}

    assert [each for each in loaded if urlsplit(each).netloc] == []


def test_the_gallery_shows_a_report_of_every_recording(site: Site) -> None:
    folder = site.folder / "gallery"
    shown = site.pages[folder / "index.html"].links
    kept = sorted(each.name for each in (ROOT / "docs" / "gallery").glob("*.json.gz"))
    projects = {each.package for each in gallery().EXHIBITS}

    assert len(projects) >= 3
    assert kept == sorted(each.recording.name for each in gallery().EXHIBITS)
    assert sum(each.recording.stat().st_size for each in gallery().EXHIBITS) < 300_000
    for each in gallery().EXHIBITS:
        page = folder / f"{each.name}.html"
        text = page.read_text(encoding="utf-8")
        assert {page.name, each.recording.name} <= shown
        assert ("Timeline" if each.release else "Migration review: ") in text
        assert "Could not review" not in text
        assert re.findall(r"(?<![\w.-])/(?:home|root|tmp|work|usr|opt|var|Users|private)/[^<\s]*", text) == []


def test_every_rule_has_a_page_that_is_found_by_search_and_from_the_list(site: Site) -> None:
    index = json.loads((site.folder / "search" / "search_index.json").read_text(encoding="utf-8"))
    searched = {each["location"] for each in index["docs"]}
    listed = site.pages[site.folder / "checks" / "index.html"].links

    for check in checks.load():
        assert f"checks/{check.RULE.id}/" in searched
        assert f"{check.RULE.id}/" in listed


def test_the_home_page_is_the_readme_and_fits_the_dark_and_the_phone(site: Site) -> None:
    home = (site.folder / "index.html").read_text(encoding="utf-8")

    assert "From zero to a green pull request in ten minutes" in home
    assert 'name="viewport"' in home
    assert 'data-md-color-scheme="slate"' in home


def test_a_link_that_leads_nowhere_stops_the_build(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "start.md").write_text("# Start\n\n[gone](../examples/gone.md)\n")
    configuration = tmp_path / "mkdocs.yml"
    configuration.write_text(
        f"site_name: broken\ndocs_dir: {docs}\nhooks: [{ROOT / 'scripts/site.py'}]\ntheme: {{name: material, font: false}}\n"
    )

    done = build(configuration, tmp_path / "site")

    assert done.returncode == 1
    assert "docs/start.md links to ../examples/gone.md, which does not exist" in done.stderr
