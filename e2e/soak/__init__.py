"""Hours of use in minutes: many users, every kind of ending, every part killed; in the end every counter is the ledger's.

``plan`` says how much of it, ``traffic`` what clients can do, ``clients`` do it; ``owed`` is what an answer is worth by the
upstream, ``account`` the sum of it; ``driver`` has all of that at work and compares, ``page`` tells of it.
"""
