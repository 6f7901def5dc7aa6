"""What a run keeps, and therefore does not delete.

An engine deletes last what a replacement took the place of, and after a failed run it still has to. When the next
program asks for the old one again, our resources find it under the id that is made of their inputs; then the engine
deletes the old record, and would take away what is in use (executed, pulumi 3.260.0: a machine type put back after a
failed `up` left nothing deployed, and no error). The same holds for another logical name of the same thing.
"""

from __future__ import annotations


class Kept:
    """The ids that the program of one run asks for; made anew with each run.

    What is only looked at is not kept: a refresh compares what the program no longer has too.
    """

    def __init__(self) -> None:
        """Nothing yet."""
        self._asked: set[str] = set()
        self._ids: set[tuple[str, str]] = set()

    def ask(self, urn: str) -> None:
        """The program asks for a resource."""
        self._asked.add(urn)

    def stay(self, token: str, urn: str, id: str) -> None:
        """A resource need not be replaced, if the program asks for it."""
        if urn in self._asked:
            self._ids.add((token, id))

    def make(self, token: str, id: str) -> None:
        """A resource is made, or found again."""
        self._ids.add((token, id))

    def holds(self, token: str, id: str) -> bool:
        """Whether the program asks for the resource of this type and id."""
        return (token, id) in self._ids
