"""UUIDs of version 7 (RFC 9562, section 5.7): the moment first, so that rows arrive in order."""

from uuid import UUID

RANDOM_BYTES = 10


def uuid7(at_ns: int, random: bytes) -> str:
    """The UUID of a moment (ns since the epoch) and ten random bytes, in text form.

    48 bits of milliseconds, 4 of version, 12 random, 2 of variant, 62 random.
    """
    milliseconds = max(0, at_ns // 1_000_000) & (1 << 48) - 1
    noise = int.from_bytes(random[:RANDOM_BYTES], "big")
    value = milliseconds << 80 | 0x7 << 76 | (noise >> 62 & 0xFFF) << 64 | 0b10 << 62 | noise & (1 << 62) - 1
    return str(UUID(int=value))
