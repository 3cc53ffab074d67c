import sys

sys.exit("run `make secrets` first")
