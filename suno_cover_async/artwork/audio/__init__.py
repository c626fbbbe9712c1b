"""Put a cover into audio files, and find out which file is which song.

It owns what each container of audio looks like, and that a file is replaced as a whole or not at
all. It never decodes or encodes sound. `embed.py` holds the one verb, `formats.py` the list of
containers, `matching.py` the search for a song's file.
"""
