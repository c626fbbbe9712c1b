"""Write what people and programs read: progress, results, reports and files.

It knows outcomes, records and terminals. It makes no decision about a run; the commands do. Open
`console.py` first: all output goes through it.
"""
