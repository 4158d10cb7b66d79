"""A provider's key, or what to do about its absence."""

from __future__ import annotations

from collections.abc import Mapping

from control_plane.domain.brief import ProviderAccess
from control_plane.domain.providers import SERVICES, Provider

Providers = Mapping[Provider, ProviderAccess]


class ProviderKeyMissing(Exception):
    """An assistant names a provider that has no key; `offhook provider set NAME` sets it."""

    loggable = True

    def __init__(self, provider: Provider) -> None:
        super().__init__(
            f"no key for {provider.value}: run `offhook provider set {provider.value}`"
        )
        self.provider = provider


def access(providers: Providers, provider: Provider) -> ProviderAccess:
    """Return the provider's key and endpoint, its own where nobody chose another.

    Raises:
        ProviderKeyMissing: naming the remedy.
    """
    found = providers.get(provider)
    if found is None or not found.api_key:
        raise ProviderKeyMissing(provider)
    return ProviderAccess(found.api_key, found.api_url or SERVICES[provider].url)
