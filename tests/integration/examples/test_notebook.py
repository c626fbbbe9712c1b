"""The notebook of `examples/`, executed by Jupyter's own client and kernel."""

import base64
import io
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.commands import finish, start

NOTEBOOK = Path(__file__).parents[3] / "examples" / "notebook.ipynb"
EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
nbformat.validate(notebook)
NotebookClient(notebook, timeout=100, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


async def executed(notebook: Path, folder: Path) -> dict[str, Any]:
    """Execute a notebook in a folder; return it with its outputs."""
    own = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    env = os.environ | {name: str(folder / name) for name in own}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    program = (sys.executable, "-c", EXECUTE)
    process = await start(str(notebook), "out.ipynb", program=program, cwd=folder, env=env)
    ended = await finish(process)
    assert ended.code == 0, ended.err
    told: dict[str, Any] = json.loads((folder / "out.ipynb").read_text())
    return told


def outputs(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [output for cell in notebook["cells"] for output in cell.get("outputs", [])]


def html_of(notebook: dict[str, Any]) -> list[str]:
    shown = [output.get("data", {}).get("text/html") for output in outputs(notebook)]
    return ["".join(one) for one in shown if one]


def test_the_notebook_is_kept_without_outputs() -> None:
    kept = json.loads(NOTEBOOK.read_text())

    assert outputs(kept) == []
    assert {cell.get("execution_count") for cell in kept["cells"]} == {None}


@pytest.mark.timeout(200)
async def test_the_notebook_runs_and_shows_images_without_a_request_to_another_host(
    tmp_path: Path,
) -> None:
    done = await executed(NOTEBOOK, tmp_path)

    details, images, outcome = html_of(done)
    assert "SUCCESS" in details
    assert details.count('rel="noreferrer noopener"') == 2
    for page in (images, outcome):
        sources = re.findall(r'src="([^"]*)"', page)
        assert len(sources) == 2
        assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    for page in (details, images, outcome):
        assert not re.search(r"<(?!(/|a|b|br|div|figcaption|figure|img|p|t[abdhr]))", page)
        assert not re.search(r"(src|style)=\"[^\"]*https?:", page)
    [sheet] = [one["data"]["image/png"] for one in outputs(done) if "image/png" in one["data"]]
    assert Image.open(io.BytesIO(base64.b64decode(sheet))).width > 300
    assert len(list((tmp_path / "covers").glob("*.png"))) == 2 * 5 + 1


@pytest.mark.timeout(200)
async def test_no_output_of_a_notebook_holds_the_key(tmp_path: Path) -> None:
    everything = """
from contextlib import suppress
from pathlib import Path
from suno_cover_async import SunoCoverClient, SunoCoverError
from suno_cover_async.sandbox import Sandbox
KEY = Path("key").read_text()
sandbox = await Sandbox(api_key=KEY).__aenter__()
client = SunoCoverClient(KEY, base_url=sandbox.url)
---
client
---
sandbox
---
task = await client.submit(sandbox.add_music()[0]); task
---
await client.wait(task)
---
await client.download(await client.wait(task), into="covers")
---
await client.submit("unknown")
---
await SunoCoverClient(KEY + "x", base_url=sandbox.url).credits()
---
await client.aclose(); await sandbox.__aexit__()
"""
    key = "sk-Canary-7f3A9c2e-Wren-81d5"
    (tmp_path / "key").write_text(key)
    cells: list[dict[str, Any]] = [
        {
            "id": f"c{n}",
            "cell_type": "code",
            "metadata": {"tags": ["raises-exception"]},
            "execution_count": None,
            "outputs": [],
            "source": source.strip(),
        }
        for n, source in enumerate(everything.split("---"))
    ]
    notebook = json.loads(NOTEBOOK.read_text()) | {"cells": cells}
    (tmp_path / "canary.ipynb").write_text(json.dumps(notebook))

    done = await executed(tmp_path / "canary.ipynb", tmp_path)

    told = json.dumps(done["cells"])
    errors = [output for output in outputs(done) if output["output_type"] == "error"]
    assert len(html_of(done)) == 2
    assert [error["ename"] for error in errors] == ["InvalidRequestError", "AuthenticationError"]
    assert key[:16] not in told
    assert base64.b64encode(key.encode())[:16].decode() not in told
