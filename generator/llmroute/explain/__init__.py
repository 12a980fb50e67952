"""What the limits of a route mean for one request, and what their counters are called. Pure.

``request`` makes of a request what the filter makes of it; ``limits`` says of each limit whether it applies, which
counter it has, what is charged when, and what a refusal looks like; ``live`` reads counters back.
"""

from llmroute.explain.limits import Explained, explained
from llmroute.explain.live import Live, live
from llmroute.explain.refusal import Api
from llmroute.explain.request import Asked, Sent, TurnedAway, asked

__all__ = ["Api", "Asked", "Explained", "Live", "Sent", "TurnedAway", "asked", "explained", "live"]
