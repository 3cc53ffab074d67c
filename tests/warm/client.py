"""Started in place of `python`: `client.py SOCKET SCRIPT [ARGUMENT…]`. Ends as the fork that runs SCRIPT does."""

import json
import os
import signal
import socket
import sys


def main() -> None:
    """Hand everything over and wait."""
    numbers = [0, 1, 2, *(int(name) for name in os.listdir("/dev/fd") if int(name) > 2)]
    passed = []
    for number in numbers:
        try:
            os.fstat(number)
            passed.append(number)
        except OSError:
            pass
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(sys.argv[1])
        wanted = {
            "arguments": sys.argv[2:],
            "folder": os.getcwd(),
            "environment": dict(os.environ),
            "descriptors": passed,
        }
        text = json.dumps(wanted).encode("utf-8", "surrogateescape")
        socket.send_fds(connection, [len(text).to_bytes(8, "big")], passed)
        connection.sendall(text)
        for number in passed:
            os.close(number)  # only the fork holds them now
        said = connection.recv(16)
    status = int(said or b"1")
    if status < 0:
        signal.signal(-status, signal.SIG_DFL) if -status not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), -status)
    os._exit(status)


main()
