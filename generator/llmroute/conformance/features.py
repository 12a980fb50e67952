"""What a gateway may be able to do. A case needs some of it, an adapter has some of it; the rest is a skip by name."""

from __future__ import annotations

import enum


class Feature(enum.StrEnum):
    """The value is the name that reports and ``--without`` say; the comment is what it means.

    Some are about the gateway's policies, some about what it tells and how it reads, and some about the adapter: how
    far it lets a case look and reach inside.
    """

    # What its limits can be.
    REQUESTS = "requests"
    """Limits of requests, beside those of tokens."""
    KINDS = "kinds"
    """Limits of prompt or completion tokens alone."""
    WEIGHTS = "weights"
    """Each kind of token at its own price."""
    SHADOW = "shadow"
    """Limits that count and never refuse."""
    OF_ALL = "of-all"
    """Limits that all users share."""
    OF_MODELS = "of-models"
    """Limits of one model, or of each model."""
    OF_HEADERS = "of-headers"
    """Limits of requests with some other header."""
    PATTERNS = "patterns"
    """Values that a regular expression matches."""
    SEVERAL = "several-limits"
    """Several limits that hold for one request."""
    BACKENDS = "backends"
    """Several backends, each with limits of its own, of which the request names one."""
    ROUTES = "routes"
    """Several policies at one gateway."""
    ZERO = "zero"
    """A quantity of 0."""
    CACHED = "cached-tokens"
    """Tokens of a prompt that the API had in its cache are counted, as its total has them."""
    SHORT = "seconds"
    """Windows of a second."""
    SYNC = "settle-sync"
    """Answers charged before they end."""
    MAX_TOKENS = "max-tokens"
    """A bound of the answer that a request may ask for."""
    IN_FLIGHT = "max-in-flight"
    """A bound of requests at one time."""
    REQUIRED_USER = "required-user"
    """Requests without a user refused with a 401."""
    ANONYMOUS = "no-user"
    """Requests without a user pass, and are those of one user."""
    UNSAID = "usage-policy"
    """A policy for answers that do not say their usage, and clients that leave."""
    FAIL_OPEN = "fail-open"
    """Requests pass while nobody can count them, where the policy says so."""

    # How it reads and what it tells.
    TELLS = "tells-remaining"
    """Answers say limit and remaining in OpenAI's headers."""
    REFUSALS = "refusals-of-the-api"
    """Refusals in the shape of the API that was called, with the time to wait."""
    ESTIMATES = "estimates"
    """Answers without usage cost a quarter of the bytes, and a token for each delta."""
    TRANSPARENT = "transparent"
    """Bytes of requests and answers pass as they are, but for usage that nobody asked for."""
    FORCED_USAGE = "forced-usage"
    """Usage of streams is asked for where the client did not, and taken out again."""
    ANY_REQUEST = "any-request"
    """Requests that none of its APIs has pass as well, and are limited: of any path and method, with any body."""
    MODEL_HEADER = "model-header"
    """The upstream is told the model that was counted, in a header."""
    UPGRADES = "upgrades"
    """Connections can become websockets."""
    EARLY_END = "early-end"
    """A client that leaves is noticed at once, and charged what it saw."""

    # Formats, by the names of their files.
    ANTHROPIC = "api-anthropic"
    AZURE = "api-azure"
    BEDROCK = "api-bedrock"
    COHERE = "api-cohere"
    GEMINI = "api-gemini"
    OLLAMA = "api-ollama"
    COMPLETIONS = "api-openai_completions"
    EMBEDDINGS = "api-openai_embeddings"
    MEDIA = "api-openai_media"
    RESPONSES = "api-openai_responses"

    # What the adapter lets a case do.
    COUNTERS = "counters"
    """Counters can be read."""
    REFUSED_REQUESTS = "refused-requests"
    """The counter of a limit of requests has those that it or another limit refused, too."""
    RESET = "reset"
    """Counters can be emptied, so that a case can begin with those that everybody shares."""
    CLOCK = "clock"
    """The time of windows can be set."""
    OUTAGE = "outage"
    """The service that counts can be taken away."""
    SDKS = "sdks"
    """The SDKs of the APIs are installed where the suite runs."""


class Admission(enum.StrEnum):
    """When a request is admitted, by what is used of each limit that matches it."""

    BELOW = "used < limit"
    UP_TO = "used <= limit"
    HELD = "used + hold <= limit"
    """What a request may take is held while it is under way, and settled by its answer."""
