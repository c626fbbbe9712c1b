"""Put a cover into audio files, and find out which file is which song.

It owns that a file is replaced as a whole or not at all, and only if all but its cover stays.
mutagen (the extra `audio`) reads and writes the tags. Sound is never decoded or encoded. Open
`apply.py` first; `embed.py` changes one file, `tags.py` knows its tags, `matching.py` finds the
file of a song.
"""

from suno_cover_async.artwork.audio.apply import embed_choices
from suno_cover_async.artwork.audio.embed import embed_cover
from suno_cover_async.artwork.audio.folder import AudioFolder
from suno_cover_async.artwork.audio.matching import AudioMatch, match_audio

__all__ = ["AudioFolder", "AudioMatch", "embed_choices", "embed_cover", "match_audio"]
