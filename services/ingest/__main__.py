"""Runs a worker."""

from libs.common import heap


def main() -> None:
    """Set up the heap, then load and serve the worker."""
    heap.share()
    from libs.common.app import serve  # noqa: PLC0415  (loads what looks at the heap's settings)
    from services.ingest.app import Settings, attach  # noqa: PLC0415

    serve("ingest", Settings.load(), attach)


if __name__ == "__main__":
    main()
