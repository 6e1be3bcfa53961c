"""The collector of cyclic garbage, which looks at all that lives again and again."""

import contextlib
import gc
from collections.abc import Generator


@contextlib.contextmanager
def made_to_stay() -> Generator[None]:
    """Make very many objects that stay: nothing is collected meanwhile, and they are not looked at later.

    For the start of a process. What lives at the end is freed when nobody refers to it any more, as
    ever; cycles of it are not. Where the block fails nothing is kept out of later looks.
    """
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
