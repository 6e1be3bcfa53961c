"""What all that is journaled has in common."""

import pydantic


class Part(pydantic.BaseModel):
    """Base of all that is journaled: frozen. An unknown field is a newer version's, and refused."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")
