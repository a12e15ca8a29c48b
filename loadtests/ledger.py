"""Where every message is: attempted, acknowledged, delivered, lost, duplicated, recovered.

Each device numbers its publications from 1. What was acknowledged at QoS 1 or 2 and never came is lost; what
came without an acknowledgement has recovered; what came twice is duplicated.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Marks:
    """Which sequence numbers were seen: all up to `high`, and some beyond it."""

    __slots__ = ("beyond", "high")

    def __init__(self) -> None:
        self.high = 0
        self.beyond: set[int] | None = None

    def add(self, number: int) -> bool:
        """Mark a number; False if it was marked already."""
        if number == self.high + 1:
            self.high = number
            while self.beyond and self.high + 1 in self.beyond:
                self.high += 1
                self.beyond.remove(self.high)
            return True
        if number in self:
            return False
        if self.beyond is None:
            self.beyond = set()
        self.beyond.add(number)
        return True

    def __contains__(self, number: int) -> bool:
        return number <= self.high or (self.beyond is not None and number in self.beyond)


class Account(msgspec.Struct):
    """What became of the publications of a load.

    `unacknowledged` and `undelivered` were still under way when it ended, or nobody says: at QoS 0 what does
    not come is `undelivered`, and no failure. Without subscribers nothing is known of `delivered` and `lost`.
    """

    attempted: int = 0
    acknowledged: int = 0
    delivered: int = 0
    lost: int = 0
    duplicated: int = 0
    recovered: int = 0
    unacknowledged: int = 0
    undelivered: int = 0
    dropped: int = 0

    def merge(self, other: Account) -> None:
        """Add another account."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Ledger:
    """The account of some devices, numbered from 0."""

    def __init__(self, count: int, *, has_delivery: bool) -> None:
        self._has_delivery = has_delivery
        self._acknowledged = [Marks() for _ in range(count)]
        self._delivered = [Marks() for _ in range(count)] if has_delivery else []
        self._dropped: set[tuple[int, int]] = set()
        self.account = Account()

    def acknowledge(self, device: int, sequence: int) -> None:
        """The broker has it."""
        if self._acknowledged[device].add(sequence):
            self.account.acknowledged += 1

    def deliver(self, device: int, sequence: int) -> bool:
        """It came; False if it had come before."""
        is_new = self._delivered[device].add(sequence)
        if is_new:
            self.account.delivered += 1
        else:
            self.account.duplicated += 1
        return is_new

    def drop(self, device: int, sequence: int) -> None:
        """It was never handed to the broker, or the broker refused it."""
        self._dropped.add((device, sequence))
        self.account.dropped += 1

    def close(self, devices: Any, pending: Any) -> Account:
        """Settle at the end: `devices` tell their last sequence number, `pending` the unacknowledged ones."""
        account = self.account
        account.attempted = sum(device.sequence for device in devices)
        account.unacknowledged = len(pending)
        if not self._has_delivery:
            return account
        account.lost = account.recovered = account.undelivered = 0
        for number, device in enumerate(devices):
            came = self._delivered[number]
            acknowledged = self._acknowledged[number]
            for sequence in range(came.high + 1, device.sequence + 1):
                if sequence in came or (number, sequence) in self._dropped:
                    continue
                if sequence in acknowledged:
                    account.lost += 1
                else:
                    account.undelivered += 1
        account.recovered = sum(sequence in self._delivered[number] for number, sequence in pending)
        return account
