"""Hours of use in minutes: many users, every kind of ending, every part killed; in the end every counter is the ledger's.

``traffic`` is what clients do, ``owed`` what the upstream says it is worth, ``driver`` does it, ``page`` tells of it.
"""
