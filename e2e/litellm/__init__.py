"""LiteLLM's proxy as a gateway of the conformance suite: ``llmroute conformance --stack litellm``, in a checkout.

``installation`` has the pinned LiteLLM in an environment of its own, ``translation`` says a policy's limits in LiteLLM's
words, ``holds`` what it holds for a request, ``proxy`` runs it, ``custom_auth`` is the one module of ours that it loads, ``adapter`` is all of that for the suite.
"""
