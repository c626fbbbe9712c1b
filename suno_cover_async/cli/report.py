"""What is said at the end: what was saved, what failed and why, and how to go on.

Nothing that was paid for may be forgotten, so every unfinished cover task is named. It knows
jobs; it knows no client.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from suno_cover_async.cli.console import copyable, json_result, path_result, say
from suno_cover_async.cli.exits import HOPELESS, advise, explain
from suno_cover_async.cli.jobs import Job, State
from suno_cover_async.errors import DownloadError, SunoCoverError
from suno_cover_async.text import printable

_MOST_IDS = 20  # more make no command that anybody would copy


def write_paths(job: Job) -> None:
    """Write the paths of a job's images to standard output."""
    for file in job.files:
        path_result(file)


def write_json(job: Job) -> None:
    """Write all about a job to standard output, as one line of JSON."""
    error = None
    if job.error is not None:
        error = {"type": type(job.error).__name__, "message": explain(job.error)}
    json_result(
        {
            "music_task_id": job.music_task_id,
            "cover_task_id": job.cover_task_id,
            "state": job.state.value if job.state.ended else "unfinished",
            "images": list(job.images),
            "files": [str(file) for file in job.files],
            "error": error,
        }
    )


def summarise(console: Console, jobs: Sequence[Job], *, into: Path, options: Sequence[str]) -> None:
    """Say what became of the jobs.

    Args:
        console: Where to say it.
        jobs: All of them.
        into: The folder of the images.
        options: The options of a command that goes on with what is left.
    """
    saved = [job for job in jobs if job.state is State.SAVED]
    failed = [job for job in jobs if job.state is State.FAILED]
    open_ = [job for job in jobs if job.state not in {State.SAVED, State.FAILED}]
    if saved:
        images = sum(len(job.files) for job in saved)
        many = f"{_count(images, 'image')} of {_count(len(saved), 'track')}"
        say(console, f"saved {many} in {printable(str(into))}", "green")
    if failed:
        say_failed(console, failed)
    if open_:
        _say_open(console, open_)
    again = [*open_, *(job for job in failed if _is_worth_another_run(job))]
    if again:
        _say_how_to_go_on(console, again, options)


def say_failed(console: Console, failed: Sequence[Job]) -> None:
    """Say which jobs failed, why, and what to do next."""
    say(console, f"{_count(len(failed), 'track')} failed:", "bold red")
    alike: dict[tuple[str, str | None], list[Job]] = {}
    for job in failed:
        if job.error is not None:
            alike.setdefault((explain(job.error), advise(job.error)), []).append(job)
    for (reason, advice), jobs in alike.items():
        for job in jobs:
            say(console, _named(job), indent=2)
        say(console, reason, "red", indent=4)
        if advice is not None:
            say(console, f"next: {advice}", indent=4)


def _say_open(console: Console, open_: Sequence[Job]) -> None:
    submitted = [job for job in open_ if job.cover_task_id is not None]
    if submitted:
        say(console, f"{_count(len(submitted), 'track')} submitted, not finished:", "yellow")
    for job in submitted:
        say(console, _named(job), indent=2)
    rest = len(open_) - len(submitted)
    if rest:
        say(console, f"{_count(rest, 'track')} not known to be submitted", "yellow")


def _say_how_to_go_on(console: Console, jobs: Sequence[Job], options: Sequence[str]) -> None:
    if len(jobs) > _MOST_IDS:
        say(console, "go on with the same command; submitting again never pays twice")
        return
    say(console, "go on with this; submitting again never pays twice:")
    ids = [job.music_task_id for job in jobs]
    command = ["suno-cover", "generate", *options, "--", *ids]
    copyable(console, printable(shlex.join(command), 10_000))


def _named(job: Job) -> str:
    told = job.cover_task_id is None or job.cover_task_id in str(job.error)
    task = "" if told else f": cover task {printable(job.cover_task_id or '')}"
    return f"{printable(job.title) or repr(job.title)}{task}"


def _is_worth_another_run(job: Job) -> bool:
    mendable = isinstance(job.error, SunoCoverError) and job.error.retryable
    return mendable or isinstance(job.error, (DownloadError, *HOPELESS))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
