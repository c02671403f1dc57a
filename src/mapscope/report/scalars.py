"""Scalars of the documents, with what their schema says of them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Address = Annotated[str, Meta(pattern="^0x[0-9a-f]+$", description="Virtual address in the process.")]
Bytes = Annotated[int, Meta(ge=0, description="Bytes, exact.")]
Count = Annotated[int, Meta(ge=0)]
