"""What runs on this machine: Envoy, Valkey and the rate limit service, each as a context manager."""
