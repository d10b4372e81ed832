"""Every link in the documents leads to a file and a heading that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
PAGE_PICTURES = ROOT / "docs" / "pictures" / "page"
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def headings(path: Path) -> set[str]:
    """The anchors of a document, as forges make them of its headings."""
    anchors: set[str] = set()
    for title in re.findall(r"^#+ (.+)$", without_code(path.read_text("utf-8")), re.MULTILINE):
        words = re.sub(r"[^\w\- ]", "", title.strip().lower())
        anchors.add(words.replace(" ", "-"))
    return anchors


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(path: Path) -> None:
    broken: list[str] = []
    for target in LINK.findall(without_code(path.read_text("utf-8"))):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        if not file.exists() or (anchor and anchor not in headings(file)):
            broken.append(target)
    assert broken == []


def test_the_pictures_of_the_page_are_small_and_all_shown() -> None:
    pictures = sorted(PAGE_PICTURES.iterdir())
    assert sum(picture.stat().st_size for picture in pictures) < 600_000
    text = (ROOT / "docs" / "PAGE.md").read_text("utf-8")
    assert [name for name in (f"pictures/page/{picture.name}" for picture in pictures) if name not in text] == []
