"""Where settings come from: flags, else the environment, else one TOML file, else the defaults of `config`."""

from antiphon.settings.loading import Loaded, load

__all__ = ["Loaded", "load"]
