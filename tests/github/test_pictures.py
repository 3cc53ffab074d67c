"""The comment in a browser, light and dark: nothing sticks out, nothing is to be read that is not meant to be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.github import pictures, readme

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.processes


@pytest.mark.parametrize("scheme", pictures.SCHEMES)
@pytest.mark.parametrize("name", pictures.SHOWN)
def test_the_comment_is_a_page_that_people_can_read(name: str, scheme: str, tmp_path: Path) -> None:
    found = pictures.picture(pictures.SHOWN[name], scheme, tmp_path / "comment.png", unfolded=True)

    assert (tmp_path / "comment.png").read_bytes().startswith(b"\x89PNG")
    assert found["wide"] == []
    text = str(found["text"])
    assert "Migration review: " in text
    assert re.findall(r"```|\*\*|</?details>|<!--|&nbsp;|\]\(", text) == []


def test_a_folded_comment_fits_on_few_screens(tmp_path: Path) -> None:
    heights = {
        name: pictures.picture(report, "light", tmp_path / "comment.png")["height"]
        for name, report in pictures.SHOWN.items()
    }

    assert all(isinstance(height, int) and height <= 3_000 for height in heights.values()), heights


def test_what_sticks_out_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(pictures.page(f"| {'x' * 10} |\n| --- |\n\n<p style='width: 2000px'>wide</p>", "light"))

    wide = pictures.measured(file)["wide"]

    assert isinstance(wide, list)
    assert ["wide" in each for each in wide] == [True]


def test_the_pictures_of_the_readme_are_small_described_and_can_be_made_again(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"!\[([^\]]{40,})\]\(docs/assets/([^)]+)\)", text))

    readme.write(tmp_path)

    assert sorted(shown.values()) == sorted(readme.PICTURES)
    for name in readme.PICTURES:
        kept = (readme.FOLDER / name).read_bytes()
        assert kept.startswith(b"\x89PNG")
        assert len(kept) < 200_000
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
