"""What several processes of one account share: the account's limit.

It must not know covers, requests or the API key; an account is a fingerprint here. Open
`limiter.py` first.
"""
