"""The conformance suite: whether a gateway's token limits are true.

A case (``case``) is a value, made with the words of ``rows`` and ``policies``; ``cases`` has all of them. ``applies``
says which features one needs, ``reading`` how it is read for another admission rule. ``runner`` serves each policy once
and has ``player`` make the steps, by ``exchange`` and ``together``; ``checks`` has what came next to what had to come,
and ``report`` says it. ``adapters`` are the gateways, ``upstream`` is the fake model behind them, ``wire`` the formats.
"""
