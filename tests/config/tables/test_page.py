"""The settings of the page: where it is served, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config.load import load_config
from app.config.settings import Config, Http, Page
from app.config.tables.page import page_advice, page_url
from app.config.toml_table import ConfigError
from app.config.variables import application_of
from tests.discord.fake import APPLICATION, TOKEN


def config(folder: Path, text: str, **environ: str) -> Config:
    (folder / "atelier.toml").write_text(text, encoding="utf-8")
    return load_config(environ, folder)


def test_without_settings_there_is_no_page(tmp_path: Path) -> None:
    loaded = config(tmp_path, "")
    assert (loaded.page, loaded.http) == (Page(), Http())


def test_a_page_without_an_address_is_served_to_this_machine(tmp_path: Path) -> None:
    loaded = config(tmp_path, "[page]\nenabled = true\n")
    assert loaded.http == Http(host="127.0.0.1", port=8899)
    assert page_url(loaded.page, loaded.http) == "http://127.0.0.1:8899"
    assert page_advice(loaded) == [
        "People log in only by the links of /page: set ATELIER_CLIENT_SECRET to let them use Discord."
    ]


def test_a_page_behind_a_proxy_lacks_nothing(tmp_path: Path) -> None:
    text = '[page]\nenabled = true\nurl = "https://Example.org/atelier/"\ntrusted_proxies = ["127.0.0.1", "10.1.2.3/8"]'
    loaded = config(tmp_path, text, ATELIER_CLIENT_SECRET="s" * 32, DISCORD_TOKEN=TOKEN, ATELIER_HTTP="[::1]:80")
    assert loaded.page.url == page_url(loaded.page, loaded.http) == "https://example.org/atelier"
    assert loaded.page.trusted_proxies == ("127.0.0.1/32", "10.0.0.0/8")
    assert loaded.page.client_secret == "s" * 32
    assert "sss" not in repr(loaded) + repr(loaded.page)
    assert page_advice(loaded) == []
    assert page_url(Page(), loaded.http) == "http://[::1]:80"


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ('url = "http://example.org"\nclient_secret = "s"', ["names the application", "is not encrypted"]),
        ('url = "https://example.org"', ["only by the links", "from where people come"]),
    ],
)
def test_what_could_be_better_is_one_sentence_each(tmp_path: Path, text: str, advice: list[str]) -> None:
    given = page_advice(config(tmp_path, f"[page]\nenabled = true\n{text}\n"))
    assert len(given) == len(advice)
    assert all(part in sentence for part, sentence in zip(advice, given, strict=True))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[http]\nlisten = "0.0.0.0:8899"\n[page]\nenabled = true', "[page] needs “url”"),
        ('[http]\nlisten = "127.0.0.1:0"\n[page]\nenabled = true', "[page] needs “url”"),
        ('[http]\nlisten = "nowhere"\n[page]\nenabled = true', "write a host and a port"),
        ('[http]\nlisten = "0.0.0.0:8899"\n[page]\nenabled = true\nurl = "https://example.org"', ""),
        ('[http]\nlisten = "0.0.0.0:8899"\n[page]\nenabled = false', ""),
    ],
)
def test_a_page_that_nobody_could_open_is_not_served(tmp_path: Path, text: str, problem: str) -> None:
    found = config(tmp_path, text).page.problem
    assert problem in found
    assert bool(found) is bool(problem)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('url = "example.org"', "is not the address of a page"),
        ('url = "https://example.org/?a=1"', "is not the address of a page"),
        ('url = "https://user:password@example.org"', "is not the address of a page"),
        ('url = "https://example.org/a/../b"', "is not the address of a page"),
        ('url = "https://example.org/a b"', "is not the address of a page"),
        ('client_secret = "two words"', "is not a secret of Discord"),
        ('trusted_proxies = ["caddy"]', "must be addresses"),
        ("trusted_proxies = 1", "must be a list"),
        ("enabled = 1", "must be true or false"),
        ("enable = true", "did you mean “enabled”?"),
        ('problem = "x"', "there is no key “problem”"),
    ],
)
def test_a_wrong_setting_is_one_sentence_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        config(tmp_path, f"[page]\n{text}\n")
    assert sentence in str(error.value)
    assert "line 2" in str(error.value)
    assert "password@" not in str(error.value)
    assert "two words" not in str(error.value)


def test_the_token_names_the_application() -> None:
    assert application_of(TOKEN) == APPLICATION
    for text in ("", "abc", "ä.b.c", "x" * 500, "MTE.", "MTFh.b.c"):
        assert application_of(text) in {"", "11"}
