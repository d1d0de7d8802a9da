"""The answers' shapes for the OpenAPI document."""
