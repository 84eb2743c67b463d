"""A shop whose leads are told about, for tests of announcing."""

from engine.announcements import Announcer
from engine.store import announcements as ledger
from tests.read_side import DAY, RULES
from tests.shop import about
from tests.storing import Clock

ASKED = (about(1, DAY), about(1, 2 * DAY, type="price_asked"))
ENTERED = [("stage_entered", "life.visitor", 1), ("segment_joined", "keen", 1)]


class Teller:
    """A shop, and an announcer over it."""

    def __init__(self, shop, **more):
        self.shop, self.facts = shop, shop.facts
        self.facts.clock = self.clock = Clock(DAY)
        shop.publish(RULES)
        self.announcer = Announcer(self.facts, **more)

    def announce(self):
        """Tell all that there is to tell; each as kind, name and days since 1970."""
        before = len(self.told())
        while self.announcer.step() is not None:
            pass
        return [(one.kind, one.name, one.at / DAY) for one in self.told()[before:]]

    def told(self):
        with self.facts.snapshot() as connection:
            return [one for one, _ in ledger.following(connection, 0, 1000)]
