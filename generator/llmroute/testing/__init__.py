"""pytest support for users: fixtures over a local gateway. To come with the conformance suite."""
