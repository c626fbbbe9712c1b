"""The API's answers: documented and recorded, each marked."""

import json
from pathlib import Path
from typing import Any

SAMPLES: dict[str, dict[str, Any]] = {
    sample["case"]: sample
    for sample in json.loads(
        (Path(__file__).parent.parent / "samples/api_samples.json").read_text()
    )
}
