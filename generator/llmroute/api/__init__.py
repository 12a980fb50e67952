"""The LLMRoute API, one package per version."""
