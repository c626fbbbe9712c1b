"""Give stores, players and audio files the covers that a person chose.

It owns what is written, where and how; it never changes a choice and never talks to the API.
`audio` is about audio files.
"""
