"""What is asked and where each request stands: the queue of record, its transitions, the scheduler and the API."""
