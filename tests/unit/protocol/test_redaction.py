"""A secret is cut out of a server's text, in whatever encoding the server sends it back."""

import base64
import json
from html import escape
from urllib.parse import quote

import pytest

from suno_cover_async.protocol.redaction import without, written, written_url

KEY = "sk-Ab1/+&<\"'%z"
FORMS = {
    "plain": KEY,
    "upper case": KEY.upper(),
    "URL": quote(KEY, safe=""),
    "URL, slashes left": quote(KEY),
    "HTML": escape(KEY),
    "HTML, quotes left": escape(KEY, quote=False),
    "HTML, decimal": "".join(c if c.isalnum() else f"&#{ord(c)};" for c in KEY),
    "HTML, hexadecimal": "".join(c if c.isalnum() else f"&#x{ord(c):x};" for c in KEY),
    "JSON": json.dumps(KEY)[1:-1],
    "JSON, numeric": "".join(f"\\u{ord(c):04x}" for c in KEY),
    "hex": KEY.encode().hex(),
    "base64": base64.b64encode(KEY.encode()).decode().rstrip("=")[:-1],
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_cut_out_and_the_text_around_it_stays(form: str) -> None:
    shown = without(f"no such key: {FORMS[form]} (code 401)", written(KEY))

    assert shown.startswith("no such key: ")
    assert shown.endswith(" (code 401)")
    assert "[key]" in shown
    assert FORMS[form] not in shown


def test_a_text_from_which_it_cannot_be_cut_out_is_replaced() -> None:
    twice_escaped = json.dumps(json.dumps(KEY))[1:-1]

    assert without(f"no such key: {twice_escaped}", written(KEY)) == "[key]"


def test_a_text_without_the_secret_is_returned_as_it_is() -> None:
    text = 'a &lt;page&gt; with "escapes" \\u0041 and 73d6128b3523a0079df10da9471017c8'

    assert without(text, written(KEY)) is text


@pytest.mark.parametrize(("length", "kept"), [(16_384, True), (16_385, False)])
def test_a_text_over_16384_characters_that_holds_the_secret_is_replaced(
    length: int, kept: bool
) -> None:
    text = (KEY + " and more").ljust(length, ".")

    shown = without(text, written(KEY))

    assert (shown == "[key]") is not kept
    assert KEY not in shown


def test_short_secrets_have_no_hex_and_no_base64_that_an_id_could_match_by_chance() -> None:
    assert b"sk-1234".hex() not in written("sk-1234")
    assert b"sk-12345".hex() in written("sk-12345")


URL = "https://me.example/hooks/a-token-of-26-characters?song=2fac0b6d&key=s3cret%2Fkey"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"no answer from {URL}!", "no answer from [URL]!"),
        (f"no answer from {quote(URL, safe='')}!", "no answer from [URL]!"),
        ("no /hooks/a-token-of-26-characters here", "no /hooks/[URL] here"),
        ("it has key=s3cret%2Fkey", "it has key=[URL]"),
        ("it has s3cret/key", "it has [URL]"),
        ("no song 2fac0b6d at me.example/hooks", "no song 2fac0b6d at me.example/hooks"),
        (
            f"no {json.dumps(URL).replace('/', '/' * 2)}",
            'no "https:////me.example//hooks//[URL]?[URL]"',
        ),
    ],
)
def test_a_url_and_its_tokens_are_cut_out_and_neither_its_words_nor_the_id_of_the_song(
    said: str, shown: str
) -> None:
    forms = written_url(URL, "2fac0b6d-3523-a007")

    assert without(said, forms, hidden="[URL]") == shown


@pytest.mark.parametrize("url", ["https://me.example", "https://me.example/?", "http://x/a=b"])
def test_a_url_without_a_token_has_the_forms_of_a_secret(url: str) -> None:
    assert sorted(written_url(url, "song")) == sorted(written(url))


def test_a_short_part_of_a_url_leaves_the_names_of_an_answers_fields() -> None:
    text = '{"code": 200, "data": {"taskId": "2fac0b6d"}}'

    assert without(text, written_url("https://x/taskId?a=%64%61%74%61&b=code", "song")) is text
