"""How long properties are explored: new examples each time, in CI the same ones."""

import os
from typing import Final

from hypothesis import HealthCheck, settings

_COMMON: Final = settings(
    deadline=None,
    # A running provider is slow to make, so examples share one.
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
settings.register_profile("authsvc", _COMMON)
settings.register_profile("authsvc-ci", _COMMON, derandomize=True, database=None)

PROFILE: Final = settings.get_profile("authsvc-ci" if os.environ.get("CI") else "authsvc")
