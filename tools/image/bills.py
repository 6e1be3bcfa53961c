"""An image's bill of materials: its Python distributions and Debian packages, as CycloneDX."""

import email.parser
import importlib.metadata
import pathlib
from typing import Final

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

DISTRIBUTION: Final = "debian"


def write(root: pathlib.Path, file: pathlib.Path, *, name: str, version: str) -> None:
    """Write the bill of the image whose files lie below `root`."""
    bill = Bom()
    bill.metadata.component = Component(name=name, version=version, type=ComponentType.CONTAINER)
    for component in [*_python(root), *_debian(root)]:
        bill.components.add(component)
        bill.register_dependency(bill.metadata.component, [component])
    file.write_text(JsonV1Dot6(bill).output_as_string(indent=2) + "\n")


def _python(root: pathlib.Path) -> list[Component]:
    folders = [str(path) for path in root.glob("opt/*/lib/python3.*/site-packages")]
    return [
        Component(
            name=found.name,
            version=found.version,
            type=ComponentType.LIBRARY,
            purl=PackageURL("pypi", None, found.name.lower().replace("_", "-"), found.version),
        )
        for found in importlib.metadata.distributions(path=folders)
    ]


def _debian(root: pathlib.Path) -> list[Component]:
    status = (root / "var/lib/dpkg/status").read_text().strip()
    packages = [email.parser.Parser().parsestr(part) for part in status.split("\n\n")]
    return [
        Component(
            name=package["Package"],
            version=package["Version"],
            type=ComponentType.LIBRARY,
            purl=PackageURL(
                "deb",
                DISTRIBUTION,
                package["Package"],
                package["Version"],
                {"arch": package["Architecture"]},
            ),
        )
        for package in packages
    ]
