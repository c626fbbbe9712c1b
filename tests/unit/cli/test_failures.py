"""Exit codes of failures, and an error as one line with a next step."""

import errno

import pytest

from suno_cover_async import errors
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.failures import advise, exit_code, explain


def test_the_weightiest_failure_decides_the_exit_code() -> None:
    key, credits_ = errors.AuthenticationError("x"), errors.InsufficientCreditsError("x")
    late, other = errors.CoverTimeoutError("x"), errors.TransportError("x")

    assert exit_code([]) == ExitCode.DONE
    assert exit_code([other, credits_, key]) == ExitCode.KEY
    assert exit_code([other, credits_]) == ExitCode.CREDITS
    assert exit_code([late, late]) == ExitCode.TIMED_OUT
    assert exit_code([late, other]) == ExitCode.FAILED
    assert exit_code([ValueError("x")]) == ExitCode.USAGE


def test_every_error_is_one_printable_line_and_retryable_ones_have_advice() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    plain = [
        kind("two\nlines\x1b[0m")
        for kind in kinds
        if issubclass(kind, errors.SunoCoverError)
        and kind not in {errors.CoverFailedError, errors.MusicFailedError}
    ]

    assert len(plain) > 10
    assert all(explain(error).isprintable() for error in plain)
    assert all(advise(error) for error in plain if error.retryable)


def test_what_waiting_cannot_repair_is_not_advised_and_money_only_where_it_is_spent() -> None:
    gone = advise(errors.CoverExpiredError("x"))
    unreachable = advise(errors.TransportError("x"))

    assert gone is not None
    assert "no second cover set" in gone
    assert "again" not in gone
    assert unreachable is not None
    assert "--base-url or --host" in unreachable
    assert "pays" not in unreachable


def test_a_proxy_that_refuses_is_advised_on_the_proxy_and_not_on_the_base_url() -> None:
    advice = advise(errors.ProxyError("x"))

    assert advice is not None
    assert "HTTPS_PROXY" in advice
    assert "--base-url" not in advice


def test_a_certificates_own_message_is_its_only_advice() -> None:
    assert advise(errors.CertificateError("x; set SSL_CERT_FILE")) is None


def test_a_wrong_address_is_wrong_usage_among_any_other_failures() -> None:
    others = [errors.CoverTimeoutError("x"), errors.ServerError("x")]

    assert exit_code([*others, errors.WrongAddressError("x")]) is ExitCode.USAGE
    assert exit_code([*others, ValueError("x")]) is ExitCode.FAILED


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (
            FileNotFoundError(errno.ENOENT, "No such file", "a.csv"),
            "No such file: 'a.csv'",
        ),
        (OSError("no number"), "no number"),
        (errors.ServerError(""), "ServerError"),
        (errors.ServerError("a\nb"), "a?b"),
        (errors.ServerError("x" * 501), "x" * 500),
    ],
)
def test_an_error_is_said_in_one_line_without_its_number(error: Exception, words: str) -> None:
    assert explain(error) == words


def test_a_note_is_the_advice_whatever_the_error() -> None:
    error = errors.TransportError("x")
    error.add_note("plug it in")

    assert advise(error) == "plug it in"


def test_a_port_that_is_taken_is_cured_by_another() -> None:
    taken = advise(OSError(errno.EADDRINUSE, "in use"))

    assert taken is not None
    assert "--port" in taken
    assert advise(OSError(errno.ENOSPC, "full")) is None


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (errors.CoverTimeoutError("x"), "continue with a longer --timeout"),
        (errors.WrongAddressError("x"), "check --base-url or --host"),
        (errors.NotFoundError("x"), "the same account"),
        (errors.CoverExistsError("x"), "suno-cover details COVER_TASK_ID"),
        (errors.InvalidRequestError("x"), "check the id"),
        (errors.LedgerError("x", retryable=True), "run the same command again"),
        (errors.LedgerError("x"), None),
        (RuntimeError("x"), None),
    ],
)
def test_the_advice_fits_the_error(error: Exception, words: str | None) -> None:
    advice = advise(error)

    assert advice is None if words is None else words in (advice or "")


def test_a_refused_address_says_what_to_do_itself() -> None:
    assert advise(errors.AddressRefusedError("x")) is None
