"""Audio files that ffmpeg makes, and what ffmpeg, ffprobe and tinytag read in them."""

import functools
import io
import json
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tinytag import TinyTag

FORMATS = ("mp3", "flac", "m4a", "ogg", "opus", "wav")

_TAGS = ("-metadata", "title=Blue Moon", "-metadata", "artist=Ann", "-metadata", "album=Nights")


@functools.cache
def sound(suffix: str, *options: str, title: str | None = "Blue Moon") -> bytes:
    """Return an audio file of 2 s, with a title, an artist and an album; else skip the test."""
    tags = () if title is None else (*_TAGS, "-metadata", f"title={title}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"sound.{suffix}")
        source = ("-f", "lavfi", "-i", "sine=440:d=2")
        _run("ffmpeg", *source, *tags, *options, str(path))
        return path.read_bytes()


def audio_file(folder: Path, suffix: str, *options: str, stem: str = "song") -> Path:
    """Write an audio file into a folder."""
    path = folder / f"{stem}.{suffix}"
    path.write_bytes(sound(suffix, *options))
    return path


@functools.cache
def picture(colour: str = "red", kind: str = "JPEG", side: int = 64) -> bytes:
    """Return an image; those of another colour differ."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(file, kind)
    return file.getvalue()


def decoded(path: Path, *, may_warn: bool = False) -> str:
    """Return the MD5 of the sound as ffmpeg decodes it."""
    md5 = ("-map", "0:a", "-f", "md5", "-")
    return _run("ffmpeg", "-i", str(path), *md5, may_warn=may_warn)


def packets(path: Path, *, may_warn: bool = False) -> list[str]:
    """Return the packets of sound as ffmpeg reads them: times, sizes and checksums.

    ffmpeg computes the times in an MP3 from the size of the file, so these are left out.
    """
    copied = ("-map", "0:a", "-c", "copy", "-f", "framemd5", "-")
    text = _run("ffmpeg", "-i", str(path), *copied, may_warn=may_warn)
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return [line.split(",", 4)[4] for line in lines] if path.suffix == ".mp3" else lines


def seen_by_ffprobe(path: Path) -> tuple[list[tuple[str, int, str]], dict[str, str]]:
    """Return the pictures (codec, width, kind) and the tags of a file as ffprobe sees them."""
    shown = ("-show_streams", "-show_format", "-of", "json")
    found: dict[str, Any] = json.loads(_run("ffprobe", *shown, str(path)))
    tags: dict[str, str] = {}
    pictures: list[tuple[str, int, str]] = []
    for stream in found["streams"]:
        if stream["disposition"]["attached_pic"]:
            kind = stream.get("tags", {}).get("comment", "")
            pictures.append((stream["codec_name"], stream["width"], kind))
        else:
            tags |= stream.get("tags", {})
    return pictures, tags | found["format"].get("tags", {})


def seen_by_tinytag(path: Path) -> tuple[bytes | None, str | None, str | None]:
    """Return the front cover, the title and the artist of a file as tinytag reads them."""
    tag = TinyTag.get(path, image=True)
    front = tag.images.front_cover
    return front.data if front else None, tag.title, tag.artist


def chunk(name: bytes, content: bytes) -> bytes:
    """Return a chunk of a WAV file."""
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def riff(*chunks: bytes) -> bytes:
    """Return a WAV file of chunks."""
    content = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def _run(program: str, *options: str, may_warn: bool = False) -> str:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is absent, which makes and reads the audio files of this test")
    command = [program, "-v", "error", "-nostdin" if program == "ffmpeg" else "-hide_banner"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)  # noqa: S603
    assert may_warn or done.stderr == ""
    return done.stdout
