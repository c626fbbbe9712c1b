"""nginx on loopback for the scripts that need a server faster than any client."""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

CONFIG = """
worker_processes 1;
daemon off;
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path temporary;
    proxy_temp_path temporary;
    fastcgi_temp_path temporary;
    uwsgi_temp_path temporary;
    scgi_temp_path temporary;
    server {{
        listen 127.0.0.1:{port};
        {body}
    }}
}}
"""
PATIENCE = 5.0


@contextmanager
def serving(body: str) -> Generator[str, None, None]:
    """Serve on a free port; yields the URL.

    Args:
        body: What stands in nginx's `server`: locations, types, sendfile.
    """
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        sys.exit("nginx is not here; install it, on Debian and Ubuntu by: apt install nginx-light")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "nginx.conf"
        config.write_text(CONFIG.format(port=port, body=body))
        command = [program, "-p", folder, "-c", str(config), "-e", "stderr"]
        with subprocess.Popen(command) as server:  # noqa: S603 - found above
            try:
                await_port(port, server)
                yield f"http://127.0.0.1:{port}"
            finally:
                server.terminate()


def await_port(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server takes connections."""
    until = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < until:
        try:
            with socket.create_connection(("127.0.0.1", port)):
                return
        except ConnectionRefusedError:
            time.sleep(0.01)
    sys.exit("nginx did not start; see above")
