"""Work that no request waits for.

Owns: what is done on a schedule, in serving processes or in a worker, safely at once. Does not
own: what the work means (``signing.rotation``, ``storage.audit``, ``storage.purge``,
``oauth.logout_notices``).
"""
