"""The only code that speaks SQL or Redis: one file per owner of a table.

Owns: the schema, transactions, single-use statements, the shared revocation list,
what one process keeps in memory of it, and how it learns that it changed. Does not
own: what any of it means; a function here neither judges a request nor knows HTTP.

Functions take the ``Transaction`` they work in. Times come in as arguments.
"""
