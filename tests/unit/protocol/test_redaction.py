"""A secret is cut out of a server's text, in whatever encoding the server sends it back."""

import base64
import json
from html import escape
from urllib.parse import quote

import pytest

from suno_cover_async.protocol.redaction import without, written

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
