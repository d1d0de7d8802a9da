"""Language models four ways: one by one, in static batches, by transformers' own continuous batching, by Baton."""

import os

# read when torch is imported: a thread started later would take as many cores as there are, whatever torch is told
os.environ.setdefault("OMP_NUM_THREADS", "1")
