import sys


def configure(_config):
    sys.exit(2)
