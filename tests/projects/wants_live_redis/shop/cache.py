import os
import socket

PORT = int(os.environ.get("REDIS_PORT", "6379"))

try:
    client = socket.create_connection(("localhost", PORT), timeout=1)
except OSError as error:
    raise ConnectionError(f"Redis is not there: localhost:{PORT}") from error
