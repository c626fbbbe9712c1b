"""Define `suno-cover`: the table of its commands, and how an error becomes an exit code.

It knows click and the names of the commands. Nothing else is loaded before a command is used: its
help and its options are in `commands/`, and what it does is in `actions/`.
"""

import sys

import click

import suno_cover_async
from suno_cover_async.cli.exit_codes import MEANINGS, ExitCode
from suno_cover_async.cli.key_option import hide_key, refuse_key, refuse_known_key
from suno_cover_async.cli.lazy_group import LazyGroup, Table

TABLE: Table = {
    "Try it": {
        "demo": "See a dozen covers made: no account, about ten seconds.",
        "sandbox": "Run a simulated API on this machine.",
    },
    "Make covers": {
        "generate": "Cover songs and save the images.",
        "batch": "Cover a whole catalog; a new run continues.",
        "details": "Show a cover task.",
        "credits": "Show the account's balance.",
        "mcp": "Let an agent make covers (MCP, on stdio).",
    },
    "Choose and apply": {
        "review": "Choose one image of each cover, in a browser.",
        "apply": "Write the chosen images, for stores and players.",
    },
    "Look after it": {
        "doctor": "Check key, host, network, disk and ledger.",
        "ledger": "Show a ledger, or export it.",
    },
}
"""The commands by what a person wants to do; each is the module of its name in `commands/`."""


@click.group(
    cls=LazyGroup,
    package="suno_cover_async.cli.commands",
    table=TABLE,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExit codes:\n" + "\n".join(f"  {code:<6}{MEANINGS[code]}" for code in ExitCode),
)
@click.version_option(suno_cover_async.__version__, prog_name="suno-cover")
@refuse_key
def commands() -> None:
    """Cover art for finished AI-generated songs, without ever paying twice.

    The API key is read from SUNO_API_KEY, from a file or from standard input (--key-file),
    never from the command line. The demo needs none: suno-cover demo
    """


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code; write an error as one line to standard error.

    Raises:
        ModuleNotFoundError: A library is missing; `__main__` says which.
    """
    words = sys.argv[1:] if arguments is None else arguments
    try:
        refuse_known_key(words)
        _refuse_passwords(words)
        code = commands.main(arguments, prog_name="suno-cover", standalone_mode=False)
    except click.ClickException as error:
        return _refused(error)
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except ModuleNotFoundError:
        raise
    except Exception as error:  # noqa: BLE001 - told in one line, or raised again
        wants_more = bool({"-v", "-vv", "--verbose"} & set(words)) or _is_debugging()
        return _failed(error, verbose=wants_more)
    return code if isinstance(code, int) else ExitCode.DONE


def _is_debugging() -> bool:
    import logging

    from suno_cover_async.common.log_variable import level_of_variable

    try:
        return level_of_variable() == logging.DEBUG
    except ValueError:  # a command that logs has refused it
        return False


def _refuse_passwords(words: list[str]) -> None:
    if any("://" in word for word in words):
        from suno_cover_async.cli.ledger_path import refuse_passwords

        refuse_passwords(words)


def _refused(error: click.ClickException) -> int:
    from suno_cover_async.cli.output.console import refuse

    refuse(error)
    return error.exit_code


def _failed(error: Exception, *, verbose: bool) -> int:
    """Write what happened and what to do; raise an unexpected error if that is asked for."""
    from suno_cover_async.cli.failures import advise, exit_code, explain
    from suno_cover_async.cli.output.console import say, stderr

    if not isinstance(error, suno_cover_async.SunoCoverError | ValueError | OSError):
        if verbose:
            raise error
        what = f"unexpected {type(error).__name__}; set SUNO_LOG=debug for the traceback"
        say(stderr(), f"Error: {what}", "red")
        return ExitCode.FAILED
    say(stderr(), hide_key(f"Error: {explain(error)}"), "red")
    advice = advise(error)
    if advice is not None:
        say(stderr(), f"next: {advice}")
    return exit_code([error])
