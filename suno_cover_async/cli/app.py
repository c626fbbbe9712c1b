"""Define the commands, with their arguments, options and help, and turn errors into exit codes.

It knows click, and the modules in `commands/` that do the work; `process.py` runs them.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from suno_cover_async import SunoCoverError, __version__
from suno_cover_async.cli.commands.apply import apply
from suno_cover_async.cli.commands.batch import batch
from suno_cover_async.cli.commands.demo import demo
from suno_cover_async.cli.commands.details import show_credits, show_details
from suno_cover_async.cli.commands.generate import generate
from suno_cover_async.cli.commands.ledger import ledger
from suno_cover_async.cli.commands.listening import CallbackListener, with_listener
from suno_cover_async.cli.commands.review import review
from suno_cover_async.cli.commands.sandbox import serve
from suno_cover_async.cli.exit_codes import ExitCode, advise, exit_code, explain
from suno_cover_async.cli.ledger_path import refuse_passwords
from suno_cover_async.cli.options import (
    EPILOG,
    Connection,
    Seconds,
    connected,
    image_folder,
    refuse_key,
    with_json,
)
from suno_cover_async.cli.output.console import logging_to, refuse, say, stderr
from suno_cover_async.cli.process import run
from suno_cover_async.common.text import trimmed


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)
@click.version_option(__version__, prog_name="suno-cover")
@refuse_key
def commands() -> None:
    """Cover art for finished AI-generated songs, without ever paying twice.

    The API key is read from SUNO_API_KEY, from a file or from standard input (--key-file),
    never from the command line. The demo needs none: suno-cover demo
    """


@commands.command("generate", short_help="Cover songs and save the images.", epilog=EPILOG)
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@image_folder("covers", "Where to save the images.")
@click.option("--title", metavar="TEXT", help="The song's title, for messages and file names.")
@click.option(
    "--name", metavar="NAME", help="Save NAME-1.png, NAME-2.png. [default: title and id, or the id]"
)
@with_json
@with_listener
@connected
def _generate(
    *,
    ids: tuple[str, ...],
    into: Path,
    title: str | None,
    name: str | None,
    as_json: bool,
    connection: Connection,
    listener: CallbackListener | None,
) -> int:
    """Cover songs and save their images, many at once.

    ID is the id of a music task; - reads ids from standard input, one per line. The paths of saved
    images go to standard output, or with --json an object for each song and a summary; everything
    else goes to standard error. A song that fails does not stop the others.

    With one ID, --title names the song and its files, and --name the files alone; files of the same
    name are replaced.

    Ctrl-C finishes what is paid for; Ctrl-C again stops now. The same command continues, and never
    pays twice.

    With --listen and --public-url the API's callbacks end the waits. Their URLs are signed with
    SUNO_CALLBACK_SECRET, or with a secret made for this run; kie.ai's own signature is checked as
    well if SUNO_CALLBACK_HMAC_KEY is set.
    """
    if "-" in ids and connection.key_file == "-":
        raise click.UsageError("standard input cannot hold both the ids and the key")
    client = connection.client(None if listener is None else listener.receiver)
    given = {"--out": str(into), "--title": title, "--name": name}

    def words(connection: Connection) -> list[str]:
        return [
            *(word for name, text in given.items() if text is not None for word in (name, text)),
            *["--json"] * as_json,
            *connection.arguments(),
            *(listener.arguments() if listener else ()),
        ]

    songs = _all_ids(ids)
    _check_names(songs, {"--title": title, "--name": name})
    act = generate(
        client,
        songs,
        into=into,
        title=title or "",
        name=name,
        with_json=as_json,
        options=words(connection),
        longer=words(connection.longer()),
    )
    work = act.run()
    if listener is not None:
        work = listener.run_while_listening(work, expected=lambda: act.billed > 0)
    return run(work, finish=act.finish)


@commands.command("details", short_help="Show a cover task.", epilog=EPILOG)
@click.argument("cover_task_id")
@click.option("--wait", is_flag=True, help="Wait until it is finished.")
@image_folder(None, "Save the images here, if it is a success.")
@with_json
@connected
def _details(
    cover_task_id: str, wait: bool, into: Path | None, as_json: bool, connection: Connection
) -> int:
    """Show a cover task by the id that submitting a song returned.

    Ctrl-C ends a wait, not the cover task, and shows the command that continues.
    """
    return run(
        show_details(
            connection.client(),
            cover_task_id,
            wait=wait,
            into=into,
            with_json=as_json,
            connection=connection,
        )
    )


@commands.command("credits", short_help="Show the account's balance.", epilog=EPILOG)
@with_json
@connected
def _credits(as_json: bool, connection: Connection) -> int:
    """Show the account's balance."""
    return run(show_credits(connection.client(), with_json=as_json))


@commands.command("sandbox", short_help="Run a simulated API on this machine.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8480,
    show_default=True,
    help="Where to listen; 0 takes a free one.",
)
@click.option(
    "--seconds",
    type=Seconds(0),
    default=5.0,
    show_default=True,
    help="How long a cover takes.",
)
@click.option(
    "--music",
    type=click.IntRange(0, 1_000_000),
    default=12,
    show_default=True,
    help="How many finished songs there are, README's among them.",
)
@click.option(
    "--catalog",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the songs there as a .csv, for suno-cover batch.",
)
def _sandbox(port: int, seconds: float, music: int, catalog: Path | None) -> int:
    """Run a simulated API on this machine until Ctrl-C, to try the client without an account.

    Every request is shown as it arrives. The exit code is 0 after Ctrl-C or SIGTERM.
    """
    return run(serve(port=port, seconds=seconds, music=music, catalog=catalog))


@commands.command("demo", short_help="See a dozen covers made: no account, about ten seconds.")
@image_folder("suno-cover-demo", "Where to save the images.")
def _demo(into: Path) -> int:
    """Cover a dozen made-up songs in a sandbox on this machine, in about ten seconds.

    It needs no account, no key and no network. It leaves 24 images, one contact sheet, and a ledger
    for the next step, suno-cover review. A further run in the same folder covers nothing again.
    """
    with logging_to(stderr(), 0):
        return run(demo(into=into))


commands.add_command(apply)
commands.add_command(batch)
commands.add_command(ledger)
commands.add_command(review)


def _all_ids(ids: Sequence[str]) -> list[str]:
    """Return the ids, with each `-` replaced by the ids on standard input."""
    found: list[str] = []
    for one in ids:
        if one == "-":
            text = sys.stdin.buffer.read().decode(errors="replace")
            bare = (trimmed(line).strip('"') for line in text.splitlines())  # jq writes quotes
            found += filter(None, bare)
        else:
            found.append(one)
    if not found:
        raise click.UsageError("no ids on standard input")
    return found


def _check_names(ids: Sequence[str], options: Mapping[str, str | None]) -> None:
    """Check options that name one song: there is one song, and the name is not blank."""
    songs = len(set(ids))
    for option, value in options.items():
        if value is not None and songs > 1:
            raise click.UsageError(
                f"{option} names one song, and there are {songs:,} ids; give one id, or a catalog "
                "with titles to suno-cover batch"
            )
        if value is not None and not trimmed(value):
            raise click.UsageError(f"{option} is blank; give a name, or leave it out")


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code; write an error as one line to standard error."""
    try:
        refuse_passwords(sys.argv[1:] if arguments is None else arguments)
        code = commands.main(arguments, prog_name="suno-cover", standalone_mode=False)
    except click.ClickException as error:
        refuse(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except (SunoCoverError, ValueError, OSError) as error:
        return _failed(error)
    except Exception as error:
        if {"-v", "-vv", "--verbose"} & set(arguments or sys.argv):
            raise
        what = f"Error: unexpected {type(error).__name__}; run with --verbose for the traceback"
        say(stderr(), what, "red")
        return ExitCode.FAILED
    return code if isinstance(code, int) else ExitCode.DONE


def _failed(error: Exception) -> int:
    say(stderr(), f"Error: {explain(error)}", "red")
    advice = advise(error)
    if advice is not None:
        say(stderr(), f"next: {advice}")
    return exit_code([error])
