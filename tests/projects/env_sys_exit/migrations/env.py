import sys

print("migrations are switched off on this machine")
sys.exit(0)
