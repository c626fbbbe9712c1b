"""Write the record of a music task as the host does, with every documented field.

The client reads three of them, by `codec.py`; other programs that are tried against the sandbox
read more. It owns the names and the made-up values of the rest.
"""

import json
from datetime import datetime
from typing import Any

from suno_cover_async.models import MusicDetails
from suno_cover_async.protocol import codec
from suno_cover_async.sandbox import images

_MODEL = "V4_5"
_TAGS = "dreamy, synthwave"
_PROMPT = "[Verse]\nNight city lights shining bright"
_SECONDS = 198.44
_FAILED = (500, "Internal error - Please try again later.")


def write(found: MusicDetails, made_at: datetime) -> dict[str, Any]:
    """Write the `data` of a music details answer.

    Args:
        found: The music task, with a URL for each song whose audio is complete.
        made_at: When the songs were made.
    """
    record = codec.encode_music(found)
    title = images.title_of(found.music_task_id)
    asked = {"prompt": _PROMPT, "style": _TAGS, "title": title, "model": _MODEL}
    code, message = _FAILED if found.failed else (None, None)
    record |= {
        "parentMusicId": "",
        "param": json.dumps(asked | {"customMode": True, "instrumental": False}),
        "type": "GENERATE",
        "operationType": "generate",
        "errorCode": code,
        "errorMessage": message,
    }
    if record["response"] is not None:
        record["response"][codec.TASK_ID] = found.music_task_id
        for song in record["response"]["sunoData"]:
            song.update(_rest(song["audioUrl"], title, made_at))
    return record


def _rest(audio_url: str, title: str, made_at: datetime) -> dict[str, Any]:
    """Return the fields of a song beside `audioUrl`."""
    stem = audio_url.removesuffix(".mp3")
    return {
        "id": stem.rpartition("/")[2],
        "streamAudioUrl": stem,
        "imageUrl": f"{stem}.jpeg",
        "prompt": _PROMPT,
        "modelName": "chirp-v4-5",
        "title": title,
        "tags": _TAGS,
        "createTime": f"{made_at:%Y-%m-%d %H:%M:%S}",
        "duration": _SECONDS,
    }
