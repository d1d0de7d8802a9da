"""Organizations, their members and their API keys: who may ask, and for whom."""
