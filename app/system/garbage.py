"""How often Python looks for objects that refer to each other and that nobody uses any more (`gc`)."""

from __future__ import annotations

import gc

NEW_OBJECTS = 10_000
"""How many more objects than before there are when it looks through them."""


def collect_rarely() -> None:
    """Look for such objects less often, and never again among those of now: they stay until the process ends.

    While Python looks through all objects, nothing else runs. With some hundred open pages that takes 0.1 s each time.
    """
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)
