"""Put a cover into audio files, and find out which file is which song.

It owns the structure of each container of audio, and that a file is replaced as a whole or not at
all. It never decodes or encodes sound. It needs mutagen (the extra `audio`). Open `apply.py` first;
`embed.py` changes one file, `formats.py` lists the containers, `matching.py` finds a song's file.
"""

from suno_cover_async.artwork.audio.apply import embed_choices
from suno_cover_async.artwork.audio.embed import embed_cover
from suno_cover_async.artwork.audio.folder import AudioFolder
from suno_cover_async.artwork.audio.matching import AudioMatch, match_audio

__all__ = ["AudioFolder", "AudioMatch", "embed_choices", "embed_cover", "match_audio"]
