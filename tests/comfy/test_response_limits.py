"""How deep an answer may be."""

from __future__ import annotations

import msgspec
import pytest

from app.comfy.response_limits import ANSWER_DEPTH, check_depth


def nested(levels: int) -> bytes:
    """So many levels, lists and objects in turn, with brackets in strings."""
    content = msgspec.json.encode("[{" * levels).decode()
    for level in range(levels):
        content = f'{{"a]": {content}, "b\\"": []}}' if level % 2 else f'[{content}, "\\\\", {{}}]'
    return content.encode()


@pytest.mark.parametrize("levels", [1, ANSWER_DEPTH // 2 + 1, ANSWER_DEPTH - 1])
def test_what_is_not_too_deep_is_passed_on(levels: int) -> None:
    # The innermost lists and objects are a level more.
    check_depth(nested(levels))


@pytest.mark.parametrize("levels", [ANSWER_DEPTH + 1, 2 * ANSWER_DEPTH, 50_000])
def test_what_is_too_deep_is_not(levels: int) -> None:
    content = b'[{"a":' * (levels // 2) + b"[" * (levels % 2) + b"]" * (levels % 2) + b"}]" * (levels // 2)
    with pytest.raises(msgspec.DecodeError):
        check_depth(content.replace(b":}", b":0}"))
