"""The part of Discord's markdown that the bot uses, as HTML."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html import escape

_TOKENS = re.compile(
    r"\\(?P<literal>[^A-Za-z0-9\s])"
    r"|`(?P<code>[^`\n]+)`"
    r"|<@&?(?P<person>\d+)>"
    r"|<t:(?P<time>\d+)(?::(?P<style>[tTdDfFR]))?>"
    r"|</(?P<command>[^:>]+):\d+>"
    r"|\[(?P<label>[^\]]+)\]\((?P<link>https?://[^)\s]+)\)"
    r"|(?P<address>https?://[^\s<>]+)"
    r"|\*\*(?P<bold>.+?)\*\*"
    r"|(?<![\w\\])_(?P<slanted>[^_]+)_(?!\w)"
)

_LINES = (("### ", "h3"), ("## ", "h2"), ("# ", "h1"), ("-# ", "small"), ("> ", "blockquote"))


def html(text: str, people: Mapping[str, str], now: float) -> str:
    """A text as Discord shows it at the time `now`, in seconds since 1970. `people` are names by id."""
    parts: list[str] = []
    for number, part in enumerate(re.split(r"```(?:\w*\n)?", text)):
        if number % 2:
            parts.append(f"<pre>{escape(part.strip(chr(10)))}</pre>")
        else:
            before, mark, quoted = part.partition(">>> ")
            parts += [_line(line, people, now) for line in before.strip("\n").split("\n") if before.strip()]
            lines = "<br>".join(_inline(line, people, now) for line in quoted.strip("\n").split("\n"))
            parts += [f"<blockquote>{lines}</blockquote>"] if mark else []
    return "".join(parts)


def _line(line: str, people: Mapping[str, str], now: float) -> str:
    for mark, tag in _LINES:
        if line.startswith(mark):
            return f"<{tag}>{_inline(line.removeprefix(mark), people, now)}</{tag}>"
    return f"<p>{_inline(line, people, now) or '&nbsp;'}</p>"


def _inline(text: str, people: Mapping[str, str], now: float) -> str:
    made: list[str] = []
    end = 0
    for match in _TOKENS.finditer(text):
        made += [escape(text[end : match.start()]), _token(match, people, now)]
        end = match.end()
    return "".join([*made, escape(text[end:])])


def _token(match: re.Match[str], people: Mapping[str, str], now: float) -> str:
    shown: dict[str, Callable[[str], str]] = {
        "literal": escape,
        "code": lambda code: f"<code>{escape(code)}</code>",
        "person": lambda person: f'<span class="mention">@{escape(people.get(person, "unknown"))}</span>',
        "time": lambda time: f'<span class="time">{_relative(int(time) - now)}</span>',
        "command": lambda command: f'<span class="mention">/{escape(command)}</span>',
        "label": lambda label: f'<a href="{escape(match["link"])}">{_inline(label, people, now)}</a>',
        "address": lambda address: f'<a href="{escape(address)}">{escape(address)}</a>',
        "bold": lambda bold: f"<b>{_inline(bold, people, now)}</b>",
        "slanted": lambda slanted: f"<i>{_inline(slanted, people, now)}</i>",
    }
    return next(draw(match[name]) for name, draw in shown.items() if match[name] is not None)


def _relative(seconds: float) -> str:
    count, unit = (abs(seconds) / 60, "minute") if abs(seconds) >= 60 else (abs(seconds), "second")
    number = max(1, round(count))
    words = f"{number} {unit}{'' if number == 1 else 's'}"
    return f"in {words}" if seconds >= 0 else f"{words} ago"
