"""The entry point of the command line: `suno-cover`, and `python -m suno_cover_async`.

It only handles missing libraries, at the start or in a command, and standard streams that are not
open.
"""

import os
import sys

from suno_cover_async.cli.exit_codes import ExitCode

_LIBRARIES = {
    "PIL": "Pillow",
    "click": "click",
    "platformdirs": "platformdirs",
    "rich": "rich",
}


def main() -> int:
    """Run the command line and return the exit code; see `suno-cover --help`."""
    _open_streams()
    try:
        from suno_cover_async.cli.app import main as run  # noqa: PLC0415 - may be missing

        return run()
    except ModuleNotFoundError as error:
        sys.stderr.write(f"Error: {_missing(error)}\n")
        return ExitCode.NOT_INSTALLED
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED


def _missing(error: ModuleNotFoundError) -> str:
    """Say what to install; an extra's own message says it already."""
    library = _LIBRARIES.get((error.name or "").partition(".")[0])
    if library is None:
        return str(error)
    return f"the command line needs {library}: pip install 'suno-cover-async[cli]'"


def _open_streams() -> None:
    """Connect standard streams that were closed by `<&-` or `>&-` to the null device.

    Otherwise Python has None in their place, and the next socket gets their file number.
    """
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115, PTH123
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115, PTH123
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115, PTH123


if __name__ == "__main__":
    sys.exit(main())
