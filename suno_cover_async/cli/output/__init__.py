"""What people and programs read: progress, results, reports, files.

It decides nothing; the commands do.
"""
