"""What every entry of the register is built on."""

from pydantic import BaseModel, ConfigDict


class Entry(BaseModel):
    """Anything written in the register: unknown fields are mistakes, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
