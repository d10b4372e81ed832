"""Damage done to files: to their bytes, their lines, and the structure of JSON. The same numbers do the same damage."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import TypeAlias, cast

from app.ports import Json

Spot: TypeAlias = tuple[dict[str, Json] | list[Json], str | int]
"""A container, and where in it."""

TEXTS = [
    "",
    "x",
    "1",
    "-10",
    "-20",
    "\ud800",
    "\x00",
    "\u2028",
    "a\nb",
    "x" * 5000,
    "@prompt",
    "@seed.steps more",
    "@output",
]
CLASSES = ["KSampler", "LoraLoader", "SaveImage", "LoadImage", "Reroute", "PrimitiveNode", "SetNode", "GetNode", "Note"]
TEMPLATES = [
    "%date:yyyy-MM-dd%",
    "%Sampler.seed%",
    "%a.b%",
    "%%",
    "1024x768",
    "true",
    "9" * 5000,
    "nan",
    "-1",
    "[slots.x]",
]
NUMBERS: list[Json] = [0, -1, 1, 2, 4, 0.5, -0.0, 1e308, 2**31, 2**53, 2**63, 2**64, -(2**63), 10**400]
SPECIAL: list[Json] = [None, True, False, float("inf"), float("nan"), [], {}]
LINKS: list[Json] = [["1", 0], ["missing", 0], ["1", -1], ["1", 2**70], ["1", "0"], [1, 0], ["1"], [[]], [True, False]]
ODD: list[Json] = [
    *TEXTS,
    *CLASSES,
    *TEMPLATES,
    *NUMBERS,
    *SPECIAL,
    *LINKS,
    {"__value__": [1]},
    {"id": 1},
    {"title": 3},
]
NAMES = """
id type mode inputs outputs links nodes link name widget widgets_values extra properties proxyWidgets definitions
subgraphs origin_id origin_slot target_id target_slot linearData groupNodes title _meta class_type 1 2 -10 -20 seed
noise_seed width height batch_size text prompt model clip lora_name strength_model filename_prefix image
"""
KEYS = NAMES.split()


def nested(depth: int, value: Json) -> Json:
    """A value deep inside lists and tables."""
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


def spots(value: Json) -> Iterator[Spot]:
    """Every place in a JSON value that holds another."""
    waiting = [value]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            yield from ((here, key) for key in here)
            waiting += here.values()
        elif isinstance(here, list):
            yield from ((here, index) for index in range(len(here)))
            waiting += here


def damage_json(value: Json, rng: random.Random) -> Json:
    """Change a JSON value in place at one to four spots; returns it, or what stands in for it."""
    for _ in range(rng.randint(1, 4)):
        found_spots = list(spots(value))
        if not found_spots or rng.random() < 0.01:
            return odd(rng)
        container, key = rng.choice(found_spots)
        _damage(container, key, found_spots, rng)
    return value


def _damage(where: dict[str, Json] | list[Json], key: str | int, found_spots: list[Spot], rng: random.Random) -> None:
    container = cast("dict[str | int, Json]", where)
    present = container[key]
    match rng.randrange(8):
        case 0 | 1:
            container[key] = odd(rng)
        case 2:
            del container[key]
        case 3:
            other, place = rng.choice(found_spots)
            container[key] = deepcopy(other.get(str(place))) if isinstance(other, dict) else present
        case 4:
            if isinstance(where, dict):
                where[rng.choice(KEYS)] = deepcopy(present)
            else:
                where.append(deepcopy(present))
        case 5:
            container[key] = nested(rng.choice([1, 2, 50]), present)
        case 6:
            # A connection to another node, perhaps to itself.
            names = [name for _, name in found_spots if isinstance(name, str) and name.isdigit()]
            container[key] = [rng.choice(names or ["1"]), rng.choice([0, 1, -1, 99])]
        case _:
            if isinstance(present, str):
                container[key] = present + rng.choice(TEXTS)
            elif isinstance(present, (int, float)):
                container[key] = rng.choice(NUMBERS)
            else:
                container[key] = odd(rng)


def odd(rng: random.Random) -> Json:
    """A value that hardly anybody expects."""
    return nested(rng.choice([300, 700]), 1) if rng.random() < 0.01 else deepcopy(rng.choice(ODD))


def damage_bytes(content: bytes, rng: random.Random) -> bytes:
    """Change one to three places of a file."""
    damaged = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(damaged) + 1)
        match rng.randrange(6):
            case 0:
                damaged[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                damaged[at:at] = rng.randbytes(rng.randint(1, 8))
            case 2:
                del damaged[at : at + rng.randint(1, 40)]
            case 3:
                damaged[at:at] = damaged[at : at + rng.randint(1, 200)]
            case 4:
                damaged[at:at] = rng.choice([b"\x00", b"\xff", b"\xef\xbb\xbf", b"\r", b'"""', b"[[", b"{" * 500, b"#"])
            case _:
                del damaged[at:]
    return bytes(damaged)


def damage_lines(text: str, values: list[str], rng: random.Random) -> str:
    """Change one to four lines of a file of `key = value` lines."""
    lines = text.splitlines()
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(lines)) if lines else 0
        line = lines[at] if lines else ""
        key = line.partition("=")[0].removeprefix("# ").rstrip()
        changes: list[Callable[[], list[str]]] = [
            lambda line=line: [line, line],
            list,
            lambda key=key: [f"{key} = {rng.choice(values)}"],
            lambda key=key: [f"{key} = {rng.choice(values)}"],
            lambda key=key: [f"{key} = {rng.choice(values)}"],
            lambda key=key: [f"{key}x = 1"],
            lambda line=line: [line.replace("[[", "[").replace("]]", "]")],
            lambda line=line: [line.replace("[", "[[").replace("]", "]]")],
            lambda: [rng.choice(lines)] if lines else [],
        ]
        lines[at : at + 1] = rng.choice(changes)()
    return "\n".join(lines)
