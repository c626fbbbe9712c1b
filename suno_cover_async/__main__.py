"""The door of the command line: `suno-cover`, and `python -m suno_cover_async`.

It knows only what to do when the command line's libraries are not installed, or when the standard
streams are not open.
"""

import os
import sys

from suno_cover_async.cli.exit_codes import ExitCode

_LIBRARIES = {"PIL": "pillow", "click": "click", "rich": "rich"}


def main() -> int:
    """Run the command line and return the exit code; see `suno-cover --help`."""
    _open_streams()
    try:
        from suno_cover_async.cli.app import main as run  # noqa: PLC0415 - may be missing
    except ModuleNotFoundError as error:
        missing = _LIBRARIES.get((error.name or "").partition(".")[0])
        if missing is None:
            raise
        sys.stderr.write(
            f"Error: the command line needs {missing}, which is not installed; "
            f"run: pip install {' '.join(sorted(_LIBRARIES.values()))} (the extra `cli`)\n"
        )
        return ExitCode.NOT_INSTALLED
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return run()


def _open_streams() -> None:
    """Let streams that were closed by `<&-` or `>&-` lead nowhere.

    Else Python has None in their place, and the next socket gets their number.
    """
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115, PTH123
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115, PTH123
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115, PTH123


if __name__ == "__main__":
    sys.exit(main())
