"""The ways to a host that the API's requests and the downloads share: connections, proxies, TLS.

It must not know the API, its key or covers. Open `connector.py` first. `proxies.py` says which way
a request goes, `certificates.py` why a host was not trusted.
"""
