"""How the parts of a file are found."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.media_worker import containers
from app.media_worker.containers import gif_blocks
from app.media_worker.pieces import Keep, View

HEAD = b"GIF89a" + bytes(7)

lengths = st.lists(st.sampled_from((1, 2, 254, 255)) | st.integers(1, 255) | st.just(255), max_size=60)


@given(first=lengths, second=lengths, window=st.sampled_from((1, 7, 255, 256, 257, 1_000, 2**16)))
def test_a_chain_of_sub_blocks_ends_at_its_end_whatever_their_lengths(
    first: list[int], second: list[int], window: int
) -> None:
    made = [HEAD, *(b"!\xfe" + _chain(chain) for chain in (first, second)), b";"]
    data = b"".join(made)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(containers, "WINDOW", window)
        blocks = list(gif_blocks(View(io.BytesIO(data), [Keep(0, len(data))])))
    assert [block.end - block.start for block in blocks] == list(map(len, made))


def _chain(lengths: list[int]) -> bytes:
    """Sub-blocks of these lengths, full of what could be taken for lengths."""
    return b"".join(bytes([length]) + b"\xff" * length for length in lengths) + b"\0"
