"""Ask a person before a batch submits anything new.

It owns when there is a question, and what an answer means. `dry_run.py` finds out the facts.
"""

import sys

from suno_cover_async.cli.actions.dry_run import Study
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.output.console import answer_to, copyable, say, stderr
from suno_cover_async.cli.output.follow_up import Command
from suno_cover_async.cli.output.prospect import TRIAL, Prospect, say_briefly
from suno_cover_async.cli.output.report import are, count
from suno_cover_async.cli.process import run

YES = {"y", "yes"}
"""The answers that agree."""


def can_ask() -> bool:
    """Return whether a person can be asked: standard input and standard error are terminals."""
    streams = (sys.stdin, sys.stderr)
    return all(stream is not None and stream.isatty() for stream in streams)  # pyright: ignore[reportUnnecessaryComparison] - None where closed


def ask(study: Study, command: Command) -> int:
    """Find out what a batch would submit, and ask if anything is new.

    Returns:
        DONE if the batch may begin, else the exit code of the command.

    Raises:
        LedgerError: The ledger cannot be read, or belongs to another account.
    """
    found: list[Prospect] = []

    async def find_out() -> int:
        plan = await study.plan()
        if plan.to_submit:  # otherwise no balance is requested
            found.append(await study.prospect(plan))
        return ExitCode.DONE

    # The event loop ends before the question: while it runs, it takes Ctrl-C, and a thread that
    # reads the terminal could not be stopped.
    code = run(find_out())
    if code == ExitCode.DONE and not all(agreed(prospect, command) for prospect in found):
        return ExitCode.INTERRUPTED
    return code


def agreed(prospect: Prospect, command: Command) -> bool:
    """Ask whether to submit the new tracks; return whether the batch may begin.

    Only `y` and `yes` agree; Ctrl-C and the end of input (Ctrl-D) do not.
    """
    plan, console = prospect.plan, stderr()
    say_briefly(console, prospect)
    noun = "track" if plan.again else "new track"
    if answer_to(f"submit {count(plan.to_submit, noun)}? [y/N] ").lower() in YES:
        return True
    say(console, "nothing was sent")
    paid = plan.possibly_billed + plan.submitted + plan.covered
    if paid:
        what = f"{count(paid, 'track')} {are(paid)} paid for, or possibly billed"
        say(console, f"{what}; to finish these, and submit nothing new:")
        copyable(console, command.again("--max-covers", "0", limited=False))
    if prospect.needs_trial:
        retry = ["--retry-failed"] * plan.retry_failed
        say(console, "to make a few covers first, and see them and what they cost:")
        copyable(console, command.again(*retry, "--max-covers", str(TRIAL), limited=False))
    say(console, "to submit without a question, add --yes")
    return False
