"""Images: fetched without the key, checked, and written whole or not at all.

It must not know the API, its key or its session. Open `downloader.py` first.
"""
