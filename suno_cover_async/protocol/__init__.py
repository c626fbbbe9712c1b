"""Define the API's protocol: requests, JSON records, codes and signatures. No I/O, no clock.

Client and sandbox share the table of fields in `codec.py`, so the API's own field names (`taskId`,
`successFlag`, `callBackUrl`) appear in this folder only. It must not know how a request is sent.
Open `requests.py` first, then `responses.py`, which decides what an answer means.
"""
