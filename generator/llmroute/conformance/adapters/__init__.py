"""How a gateway is given the policy of a case and an upstream that the case commands.

``protocol`` is all that the runner knows of a gateway. ``stack`` makes an adapter of anything that can apply an
LLMRoute, ``local`` is the gateway of ``llmroute run``, ``by_hand`` one that somebody else has configured; ``find``
knows the names.
"""
