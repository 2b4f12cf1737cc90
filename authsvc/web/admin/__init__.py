"""The admin API, ``/admin/v1``: users, roles, clients, keys, sessions, audit.

Owns: the operations as one table each, from which routes and the OpenAPI document are
made; the strict reading of requests; paging; ``Idempotency-Key``. Does not own: any rule
about what is administered (``identity``, ``access``, ``oauth``, ``signing``).
RFC 9110, RFC 7591, RFC 8259, draft-ietf-httpapi-idempotency-key-header, OpenAPI 3.1.
"""
