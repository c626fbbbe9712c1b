"""Without Pillow, which the package itself does not need."""

import subprocess
import sys


def test_without_pillow_the_import_says_what_to_install() -> None:
    code = "import sys; sys.modules['PIL'] = None; import suno_cover_async.artwork"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603

    last = done.stderr.splitlines()[-1]
    assert "pip install 'suno-cover-async[artwork]'" in last
