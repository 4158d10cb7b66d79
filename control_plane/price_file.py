"""The prices that the operator gives, before ours."""

from __future__ import annotations

from pathlib import Path

from control_plane.domain.prices import DEFAULTS, BadPrices, Prices, parsed
from process.settings import SettingsError


def read_prices(file: str) -> Prices:
    """Return the prices of providers: ours, and before them those of `file` if one is named.

    Raises:
        SettingsError: the file cannot be read, or a row of it is wrong.
    """
    if not file:
        return DEFAULTS
    try:
        return DEFAULTS | parsed(Path(file).read_text())
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"OFFHOOK_PRICES: {file} cannot be read: {exc}") from exc
    except BadPrices as exc:
        raise SettingsError(f"OFFHOOK_PRICES: {file}: {exc}") from exc
