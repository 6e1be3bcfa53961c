"""A certificate of this machine, signed by an authority of its own."""

from pathlib import Path

from tools.certificates import Authority


def own_certificate(folder: Path) -> tuple[Path, Path, Path]:
    """Write an authority's certificate, one of 127.0.0.1 and its key, PEM; return where they are."""
    authority = Authority("authority")
    own = authority.issue("127.0.0.1", hosts=["127.0.0.1"])
    files = folder / "authority.pem", folder / "certificate.pem", folder / "key.pem"
    for file, content in zip(
        files, (authority.own.certificate, own.certificate, own.key), strict=True
    ):
        file.write_bytes(content)
    return files
