"""The structure of a page: which elements it has, in order, and their texts. Pictures are their descriptions."""

from __future__ import annotations

from html.parser import HTMLParser

from msgspec import Struct

KEPT = frozenset({"h1", "h2", "h3", "small", "blockquote", "p", "pre", "button", "img", "label", "article", "footer"})
"""Elements that are part of the structure."""


class Element(Struct, frozen=True):
    """One element: its tag, its class, and its text or, for a picture, its description."""

    tag: str
    kind: str
    text: str


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[int] = []
        self._tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag in KEPT:
            self.elements.append(Element(tag, named.get("class") or "", named.get("alt") or ""))
            if tag != "img":
                self._open.append(len(self.elements) - 1)
                self._tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._tags and self._tags[-1] == tag:
            self._tags.pop()
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open:
            element = self.elements[self._open[-1]]
            self.elements[self._open[-1]] = Element(element.tag, element.kind, element.text + data)


def outline(page: str) -> list[Element]:
    """The elements of a page."""
    reader = _Reader()
    reader.feed(page)
    return reader.elements


def texts(page: str, tag: str, kind: str = "") -> list[str]:
    """The texts of all elements with this tag and, if it is given, this class."""
    return [element.text for element in outline(page) if element.tag == tag and kind in {"", element.kind}]
