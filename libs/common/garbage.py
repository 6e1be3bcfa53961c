"""The collector of cyclic garbage, which looks at all that lives again and again."""

import contextlib
import gc
from collections.abc import Generator
from typing import Final

SELDOM: Final = (2_000, 10, 100)
"""Objects more than at the last look, after which the young are looked at; looks at them after which
the middle-aged are; and looks at those after which all that lives is: two million objects apart."""


@contextlib.contextmanager
def made_to_stay() -> Generator[None]:
    """Make very many objects that stay: nothing is collected meanwhile, and they are not looked at later.

    For the start of a process to which more of their kind come: from then on all that lives is looked
    at SELDOM, as nobody is answered meanwhile. What lives at the end is freed when nobody refers to it
    any more, as ever; cycles of it are not. Where the block fails all is as before.
    """
    gc.disable()
    try:
        yield
        gc.freeze()
        gc.set_threshold(*SELDOM)
    finally:
        gc.enable()
