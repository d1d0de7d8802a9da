"""How a language model reads and writes for several requests at once. `llm` calls it; it knows no lane and no text."""
