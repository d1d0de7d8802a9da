"""What the OpenAPI document says of each call. Decorators for the views; no behaviour."""
