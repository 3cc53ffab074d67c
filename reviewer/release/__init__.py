"""A deploy as seen by the person who runs it: what waits and for how long, in which order, and the way back.

Made of the recording, the report of its review and the sizes of production alone: no server, no git, no clock.
"""
