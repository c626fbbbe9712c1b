"""Define the API's protocol: requests, JSON records, codes and signatures. No I/O, no clock.

`codec.py` alone maps the API's field names (`taskId`, `successFlag`, `callBackUrl`), for the client
and the sandbox; elsewhere they appear only in error texts. This folder must not know how a request
is sent. Open `requests.py` first, then `responses.py`, which decides what an answer means.
"""
