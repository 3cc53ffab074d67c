"""A deploy as whoever runs it sees it: what waits and for how long, in which order, and the way back.

Made of the recording, the report of its review and the sizes of production alone: no server, no git, no clock.
"""
