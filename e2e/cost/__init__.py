"""What limiting costs: the same requests through several gateways, side by side in one run. ``python -m e2e.cost``.

``loads`` says what is asked for, ``load`` asks (``tools/load``, in Go), ``gateways`` is the table of what is in between,
``native`` makes Envoys without our filter, ``matrix`` measures by turns, ``memory`` and ``compiler`` the rest; ``raw`` is what all
of them record, ``figures`` the statistics, ``goals`` what is aimed at, ``page``, ``plots`` the document.
"""
