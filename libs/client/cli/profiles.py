"""Where the command line finds its address, key and tenant: options, environment, profile file."""

import dataclasses
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from libs.client.addresses import DEFAULT

FILE: Final = "~/.config/convergence/profiles.toml"
FIELDS: Final = frozenset({"address", "api_key", "api_key_file", "tenant"})


class ProfileUnusable(Exception):
    """A profile that cannot be read, or that others can."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a command needs to know before it can call."""

    address: str = DEFAULT
    api_key: str = dataclasses.field(default="", repr=False)
    tenant: str = ""


def resolve(
    environment: Mapping[str, str],
    *,
    address: str | None = None,
    tenant: str | None = None,
    profile: str | None = None,
) -> Profile:
    """Return the profile to use: options win, then a profile that was named, the environment, the default profile.

    Raises:
        ProfileUnusable: The file or the profile named is missing, malformed or readable by others.
    """
    named = profile or environment.get("CONVERGENCE_PROFILE", "")
    found = _read(Path(environment.get("CONVERGENCE_PROFILES", FILE)).expanduser(), named)
    given = {
        "address": environment.get("CONVERGENCE_ADDRESS", ""),
        "api_key": environment.get("CONVERGENCE_API_KEY", "").strip(),
        "tenant": environment.get("CONVERGENCE_TENANT", ""),
    }
    layers = [found, given] if named else [given, found]
    options = {"address": address or "", "tenant": tenant or ""}
    chosen = {
        field: next((layer[field] for layer in (options, *layers) if layer.get(field)), "")
        for field in ("address", "api_key", "tenant")
    }
    return Profile(
        address=chosen["address"] or DEFAULT,
        api_key=chosen["api_key"],
        tenant=chosen["tenant"] or tenant_hint(chosen["api_key"]),
    )


def tenant_hint(api_key: str) -> str:
    """Return the tenant that a key's text names (`cvg_{tenant}_{secret}`), empty if it names none.

    Only a default for names that leave the tenant out: what a key may do, auth decides.
    """
    hint = api_key.removeprefix("cvg_").rpartition("_")[0]
    return hint if api_key.startswith("cvg_") and hint not in {"", "-", "platform"} else ""


def _read(file: Path, named: str) -> dict[str, str]:
    if not file.is_file():
        if named:
            raise ProfileUnusable(f"profile {named!r} was asked for, but there is no {file}")
        return {}
    try:
        document = tomllib.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ProfileUnusable(f"{file} cannot be read: {error}") from error
    profiles = document.get("profiles", {})
    name = named or document.get("default", "default")
    if name not in profiles:
        if named or "default" in document:
            known = ", ".join(sorted(profiles)) or "none"
            raise ProfileUnusable(f"{file} has no profile {name!r}; it has {known}")
        return {}
    return _checked(file, name, profiles[name])


def _checked(file: Path, name: str, profile: Mapping[str, object]) -> dict[str, str]:
    for field, value in profile.items():
        if field not in FIELDS or not isinstance(value, str):
            allowed = ", ".join(sorted(FIELDS))
            raise ProfileUnusable(
                f"{file}: field profiles.{name}.{field} is {value!r}; allowed are texts {allowed}"
            )
    found = {field: str(value) for field, value in profile.items()}
    if "api_key" in found:
        _private(file)
    if path := found.pop("api_key_file", ""):
        key_file = file.parent / Path(path).expanduser()
        if not key_file.is_file():
            raise ProfileUnusable(f"{file}: api_key_file of {name!r} is {key_file}, no such file")
        _private(key_file)
        found["api_key"] = key_file.read_text().strip()
    return found


def _private(file: Path) -> None:
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        raise ProfileUnusable(
            f"{file} holds a key and has mode {mode:04o}, so others can read it; run chmod 600 {file}"
        )
