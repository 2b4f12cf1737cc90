"""Settings: environment variables with the prefix ``AUTHSVC_``, checked before the start.

Owns: every setting, its type, its default and its meaning. Does not own: what a setting
does. Every variable may also be given as ``<NAME>_FILE``, the path of a file that holds
the value. A wrong value raises ConfigError with one line that names the variable, what it
holds (unless it is a secret) and what it accepts.

``python -m authsvc.config`` prints the settings table; with ``--check FILE`` it fails
when the table in that file is not current, with ``--write FILE`` it renews it there.
"""

from authsvc.config.loading import load_settings, unknown_variables
from authsvc.config.settings import DEFAULT_DATABASE_URL, MASTER_KEY_PATH, Settings
from authsvc.config.table import settings_table
from authsvc.config.values import Network
from authsvc.config.variables import PREFIX, ConfigError

__all__ = [
    "DEFAULT_DATABASE_URL",
    "MASTER_KEY_PATH",
    "PREFIX",
    "ConfigError",
    "Network",
    "Settings",
    "load_settings",
    "settings_table",
    "unknown_variables",
]
