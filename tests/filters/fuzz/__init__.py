"""The fuzzer of the Lua itself: ``python -m tools.fuzz N``, or ``make fuzz N=1000000``.

Cases are random bytes and random cuts; what must come out is said by plain, slow Python that knows the wire
formats and nothing of how the Lua reads them. ``texts``, ``shapes``, ``framings``, ``forms`` and
``requests`` make bytes; ``tree``, ``numbers``, ``ledger``, ``answers``, ``paths`` and ``upstream`` are the oracle; ``engine`` runs a batch in one call of Lua;
``shrink`` makes what diverges small; ``mutants`` breaks the Lua on purpose to see that it is found.
"""
