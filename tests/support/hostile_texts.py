"""Text of others that would do something to a terminal, a spreadsheet, a log or a reader."""

FORGED = "23:59:59 ERROR all is lost"

COMMANDS_TO_TERMINALS = {
    "clears the screen": "\x1b[2J\x1b[H",
    "colours": "\x1b[31;5mred",
    "sets the title": "\x1b]0;pwned\x07",
    "links": "\x1b]8;;https://evil.example/\x1b\\here\x1b]8;;\x1b\\",
    "writes the clipboard": "\x1b]52;c;cm0gLXJmIC8=\x07",
    "asks for an answer": "\x1b[6n\x1b[c\x1bP+q544e\x1b\\",
    "one-byte sequences": "\x9b2J\x9d0;pwned\x9c\x90q\x9c",
    "control characters that go back": "\x07\x08\x08\x08gone",
    "overwrites": "bad\rgood",
    "breaks lines": f"one\n{FORGED}\r\n{FORGED}\x0b{FORGED}\x0c{FORGED}",
    "breaks lines otherwise": f"one\x85{FORGED}\u2028{FORGED}\u2029{FORGED}\x1c{FORGED}",
    "nul and delete": "a\x00b\x7fc",
    "turns around": "song\u202egnp.exe\u202c \u2066x\u2069 \u061c\u200f",
    "is not seen": "a\u200bb\u200dc\u2060d\ufeffe\u00adf\u180eg",
    "tags": "a\U000e0041\U000e0042\U000e007f",
    "letters that draw nothing": "\u3164\u115f\u1160\uffa0\u2800\u034f\u17b4",
    "an unpaired surrogate": "\ud800 \udc9b2J",
    "for private use": "\ue000\U000f0000\uffff",
}
WORDS_FOR_LIBRARIES = {
    "markup": "[bold red]x[/] [link=https://evil.example]x[/link] :smile: [/nothing]",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>&lt;",
    "formats": "%s %n {0} {x!r} ${HOME} $(id) `id`",
    "is long": "\u0301" * 300 + "W" * 5_000,
}
HOSTILE = {**COMMANDS_TO_TERMINALS, **WORDS_FOR_LIBRARIES}
FORMULAS = [
    *("=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0", '=HYPERLINK("https://evil.example")'),
    *("\t=1", "\r=1", "\n=1", "\0=1", "  =1", "\u00a0=1", "\ufeff=1", "\u200b=1", "\u3164=1"),
    *("\uff1d1", "\uff0b1", "\uff0d1", "\uff201", "\ufe661", "\u22121"),
    *("a;=1+1;b", "a\t=1+1\tb", "a\n=1+1\nb", "a\r\n=1+1", 'a";=1+1;"', "a; \uff1d1", ";\u200b@x"),
]


def is_harmless(text: str) -> bool:
    """Whether all of it is plain: lines, tabs and what can be seen."""
    drawn = text.replace("\n", "").replace("\t", "")
    return drawn.isprintable() and not set(drawn) & set("\u3164\u115f\u1160\uffa0\u2800\u034f")


def assert_harmless(text: str) -> None:
    assert is_harmless(text), [c for c in text if not is_harmless(c)][:10]
    assert not any(line.startswith(FORGED) for line in text.splitlines())


def assert_one_line(text: str, longest: int = 1000) -> None:
    assert_harmless(text)
    assert "\n" not in text
    assert len(text) <= longest
