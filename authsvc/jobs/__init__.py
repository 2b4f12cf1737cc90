"""Work that no request waits for.

Owns: what is done on a schedule, in every serving process, safely at once. Does not own:
what the work means (``signing.rotation``, ``storage.audit``,
``oauth.logout_notices``).
"""
