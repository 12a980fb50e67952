"""Cases over real proxies. Each is written once and runs on every stack: ``pytest e2e --stack NAME``."""
