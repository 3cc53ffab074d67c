"""A shop."""

import os
import sys

print("welcome to the shop")
sys.stderr.write("the shop complains\n")
os.write(1, b"bytes that are not text: \xff\xfe\n")
