"""Webhooks: what the audit log records is told to receivers that an operator registered.

Owns who is told of what, the secrets, and the signature (Standard Webhooks 1.0). Does not
own when a delivery is tried again: that is the outbox's.
"""
