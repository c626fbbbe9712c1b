"""Provide what all other folders may use.

====================  ==============================================================================
module                contents
====================  ==============================================================================
`tasks.py`            single flight, closing and cancellation
`loop_local.py`       one resource per event loop
`addresses.py`        loopback and public IP addresses
`validation.py`       checks of arguments
`records.py`          values to plain data and back
`json_text.py`        JSON text to an object, with limits that are the same on every Python
`disk.py`             files that are on the disk, and work in threads
`text.py`             text that is safe to print
`html.py`             HTML for notebooks, in which everything is escaped
`log_variable.py`     the environment variable SUNO_LOG
`version.py`          the version
====================  ==============================================================================

This folder must not know covers, requests or this package's errors: its callers pass in the errors
to raise. Of the API it knows one thing: `validation.py` knows the forms of ids and URLs. Open
`tasks.py` first.
"""
