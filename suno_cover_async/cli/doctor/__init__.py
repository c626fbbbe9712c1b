"""The checks of `suno-cover doctor`: each finds out one thing, and changes nothing.

A check returns findings and prints nothing; `../actions/doctor.py` runs the checks in order and
writes what they found. No check may know how it is shown, and none may show the key: `finding.py`
defines what a finding is, and how long a check may take. Open that first.
"""
