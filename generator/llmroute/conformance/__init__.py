"""Cases, runner, report and the scripted upstream that prove a gateway keeps a policy."""
