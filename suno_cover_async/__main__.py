"""The door of the command line: `suno-cover`, and `python -m suno_cover_async`.

It knows only what to say when the command line's libraries are not installed.
"""

import sys

from suno_cover_async.cli.exits import ExitCode

_LIBRARIES = frozenset({"PIL", "click", "rich"})


def main() -> int:
    """Run the command line and return the exit code; see `suno-cover --help`."""
    try:
        from suno_cover_async.cli.commands import main as run  # noqa: PLC0415 - may be missing
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _LIBRARIES:
            raise
        sys.stderr.write(
            f"Error: the command line needs {missing}, which is not installed; "
            "run: pip install 'suno-cover-async[cli]'\n"
        )
        return ExitCode.NOT_INSTALLED
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return run()


if __name__ == "__main__":
    sys.exit(main())
