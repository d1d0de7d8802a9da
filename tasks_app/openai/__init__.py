"""The routes under /v1, for clients written for OpenAI's API. Each call is an ordinary task, submitted as any other."""
