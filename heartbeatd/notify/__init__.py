"""Delivery: the outbox, and the webhook."""
