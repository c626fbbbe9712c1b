"""The API's language: requests, records in JSON, codes, signatures. No I/O, no clock.

Client and sandbox read and write the same table of fields in `codec.py`, so the API's own words
(`taskId`, `successFlag`, `callBackUrl`) stand in this folder alone. It must not know how a request
is sent. Open `requests.py` first, then `responses.py`: what an answer means.
"""
