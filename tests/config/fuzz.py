"""Damaged settings: whatever is in atelier.toml, .env and the environment, there is one sentence or a configuration.

`python -m tests.config.fuzz --minutes 10` tries until something breaks or the time is over.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from app.config.load import load_config
from app.config.settings import Config
from app.config.toml_table import ConfigError
from tests.mutate import damage_bytes, damage_lines

EXAMPLE = (Path(__file__).parents[2] / "atelier.example.toml").read_text(encoding="utf-8")

DOTENV = """# ours
export DISCORD_TOKEN="a.b.c" # secret
COMFYUI_URL='http://one:8188, http://two'
ATELIER_DATA=data
ATELIER_WORKFLOWS = "workflows"
DISCORD_REST_URL=http://127.0.0.1:8080/api

OTHER="two
lines"
"""

VALUES = [
    *("0", "-1", "2.0", "1e400", "nan", "true", "2024-05-27", "[]", "{}", "[1]", '["x"]', "[[1]]", "{ a = 1 }", '""'),
    *('"ü"', '"a\\nb"', '"\\u0000"', f'"{"x" * 300}"', "9" * 30, "9" * 5000, "[" * 3000, '"""', "'", '"\\q"', "1_0"),
    *('"http://["', '"http://x:0"', '"HTTP://LOCALHOST:80"', '"http://a b"', '"http://ü.example"', '"ftp://x"', '"."'),
    *("[18446744073709551616]", '["cancel", "cancel"]', '{ Host = "x" }', '{ "" = "x" }', '{ X = "ü" }', "ü", "\x00"),
]

LIBRARY_TEXT = re.compile(
    r"- at `|Expected [`'\"]|\(at (line|end)|Traceback|codec|Errno|object at 0x|\bstr\b|\bint\b|dict"
)


class Leaked(AssertionError):
    """A sentence is not one of ours."""


def case(number: int) -> tuple[bytes, bytes, dict[str, str]]:
    """The files and the environment of one try."""
    rng = random.Random(number)
    toml, dotenv = EXAMPLE.encode(), DOTENV.encode()
    environ: dict[str, str] = {}
    target = rng.randrange(4)
    if target in {0, 3}:
        toml = damage_lines(EXAMPLE, VALUES, rng).encode("utf-8", "surrogatepass")
    if target == 1:
        dotenv = damage_lines(DOTENV, VALUES, rng).encode()
    if rng.random() < 0.4:
        toml = damage_bytes(toml, rng)
    if rng.random() < 0.4:
        dotenv = damage_bytes(dotenv, rng)
    if rng.random() < 0.3:
        name = rng.choice(["COMFYUI_URL", "ATELIER_DATA", "ATELIER_CONFIG", "DISCORD_TOKEN", "DISCORD_REST_URL"])
        environ[name] = rng.choice(VALUES).strip('"').replace("\x00", "")
    if rng.random() < 0.5:
        dotenv = b""
    return toml, dotenv, environ


def attempt(number: int, folder: Path) -> bool:
    """Load the settings of one try; whether they were good. Raises whatever is not a `ConfigError` of ours."""
    toml, dotenv, environ = case(number)
    (folder / "atelier.toml").write_bytes(toml)
    (folder / ".env").write_bytes(dotenv)
    try:
        config = load_config(environ, folder)
    except ConfigError as error:
        check_sentence(str(error))
        return False
    # What was taken fits the types that it is declared with.
    msgspec.convert(msgspec.to_builtins(config, enc_hook=str), Config, dec_hook=lambda kind, value: kind(value))
    return True


def check_sentence(sentence: str) -> None:
    """Whether a person can use a sentence. Raises `Leaked`."""
    if not re.match(r"(atelier\.toml|\.env)(, line [1-9]\d*)?: |[A-Z_]{8,}:? |“|Two servers|[^:]{1,60}: .", sentence):
        raise Leaked(f"it does not say where: {sentence}")
    if not sentence.endswith((".", "?")) or "\n" in sentence or len(sentence) > 300 or LIBRARY_TEXT.search(sentence):
        raise Leaked(f"not a sentence of ours: {sentence}")


def main() -> None:
    """Try until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--first", type=int, default=None, help="the number of the first try")
    arguments = parser.parse_args()
    number = arguments.first if arguments.first is not None else random.SystemRandom().randrange(2**40)
    end, good, count = time.monotonic() + arguments.minutes * 60, 0, 0
    with TemporaryDirectory() as folder:
        while time.monotonic() < end:
            try:
                good += attempt(number, Path(folder))
            except Exception:
                print(f"try {number} broke: python -m tests.config.fuzz --first {number}")
                raise
            number, count = number + 1, count + 1
    print(f"{count} tries, {good} of them good settings, nothing broke")


if __name__ == "__main__":
    main()
