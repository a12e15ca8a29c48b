"""Masking: personal fields leave the gateway as a keyed hash, or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from devices_models.publications import fields_of, personal_size
from twin.message import Message

HASH_BYTES: Final = 8
UNMASKABLE: Final = "cannot be masked"
MaskBy: TypeAlias = Literal["hash", "remove"]


def pseudonym(value: object, key: bytes) -> str:
    """A keyed hash (BLAKE2b, 64 bit): equal values keep equal pseudonyms, and only the key tells whose."""
    return hashlib.blake2b(msgspec.json.encode(value), digest_size=HASH_BYTES, key=key).hexdigest()


def masked(message: Message, names: Sequence[str], by: MaskBy, key: bytes) -> Message | None:
    """The message without the values of these fields; None if it holds personal bytes that cannot be
    reached, because the payload is no JSON object.
    """
    if not names or not message.payload:
        return message
    fields = fields_of(message.payload)
    if fields is None:
        return None if message.personal_bytes else message
    found = [name for name in names if name in fields]
    if not found:
        return message
    hidden_bytes = personal_size(fields, found)
    for name in found:
        value = fields.pop(name)
        if by == "hash":
            fields[name] = pseudonym(value, key)
    rest_bytes = max(0, message.personal_bytes - hidden_bytes)
    return replace(message, payload=msgspec.json.encode(fields), personal_bytes=rest_bytes)
