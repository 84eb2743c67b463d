"""Between events and rows of `stored_events`: the bytes go in and come out as they are."""

from typing import Any
from uuid import UUID

from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import InfrastructureFactory, Mapper, StoredEvent, Transcoder

from engine.aggregates.lead import TouchpointRecorded
from engine.aggregates.rule_book import RulesPublished
from engine.aggregates.stream import StreamEvent
from engine.errors import UnknownTopic

TOUCHPOINT_RECORDED = "lead.tp:1"
RULES_PUBLISHED = "rules.published:1"

_EVENTS: dict[str, type[StreamEvent]] = {
    TOUCHPOINT_RECORDED: TouchpointRecorded,
    RULES_PUBLISHED: RulesPublished,
}
_TOPICS = {event: topic for topic, event in _EVENTS.items()}


class LeadMapper(Mapper[UUID]):
    """Short topics with a version in them, so that classes may move and forms may change."""

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        """An event as a row."""
        event: Any = domain_event
        return StoredEvent(
            event.originator_id, event.originator_version, _TOPICS[type(event)], event.data
        )

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        """A row as an event.

        Raises:
            UnknownTopic: No event here has this topic.
        """
        event = _EVENTS.get(stored_event.topic)
        if event is None:
            raise UnknownTopic(stored_event.topic, _EVENTS)
        originator = stored_event.originator_id
        identity = originator if isinstance(originator, UUID) else UUID(originator)
        return event(identity, stored_event.originator_version, stored_event.state)


class MakesLeadMapper(InfrastructureFactory[Any]):
    """What the factories of all databases share."""

    def mapper(
        self,
        transcoder: Transcoder | None = None,
        mapper_class: type[Mapper[Any]] | None = None,
    ) -> Mapper[Any]:
        """Our mapper, unless the environment names another."""
        if mapper_class is None and not self.env.get(self.MAPPER_TOPIC):
            mapper_class = LeadMapper
        return super().mapper(transcoder, mapper_class)
