"""What every test relies on."""

from __future__ import annotations

import signal

# A shell that starts the tests in the background, or `nohup`, has them ignored, and every process that a test starts
# would ignore them too: tests that interrupt a reviewer would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
