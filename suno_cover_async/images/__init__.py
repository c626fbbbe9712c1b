"""Download images without the API key, check them, and write each file completely or not at all.

This folder must not know the API, its key or its session. Open `downloader.py` first.
"""
