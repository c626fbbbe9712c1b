"""Give stores and players the artwork that they want, from the images that were chosen.

It owns presets, conversion, the names of files, and what is written beside them. It reads a ledger
and never changes it; it must not know the API, the command line or the review page. It needs
Pillow (the extra `artwork`). Open `apply.py` first.
"""

try:
    from PIL import AvifImagePlugin as AvifImagePlugin  # older versions lack it
except ImportError as _error:
    raise ModuleNotFoundError(
        "artwork and the review page need Pillow 11.3: pip install 'suno-cover-async[artwork]'",
        name="PIL",
    ) from _error

from suno_cover_async.artwork.apply import apply_choices
from suno_cover_async.artwork.contact_sheet import ContactSheet
from suno_cover_async.artwork.convert import Converted, convert_image
from suno_cover_async.artwork.outcomes import Applied, ApplyOutcome, NotApplied, NotChosen
from suno_cover_async.artwork.plan import ArtworkPlan
from suno_cover_async.artwork.presets import PRESETS, Preset

__all__ = [
    "PRESETS",
    "Applied",
    "ApplyOutcome",
    "ArtworkPlan",
    "ContactSheet",
    "Converted",
    "NotApplied",
    "NotChosen",
    "Preset",
    "apply_choices",
    "convert_image",
]
