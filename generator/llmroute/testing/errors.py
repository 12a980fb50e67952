"""What is wrong with a policy, or with what a test asks of it. Imports nothing, as pytest's plugin needs it."""

from __future__ import annotations


class PolicyError(Exception):
    """A policy that cannot be tested; the message has a line for each thing that is wrong with it."""


class UnknownUser(ValueError):  # noqa: N818 named by who it is
    """A user that the policy's way to know who asks cannot name; says whom it can."""
