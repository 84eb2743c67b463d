"""The standard client where it needed a hand."""

from contextlib import closing

import pytest

from consumers.kafka_python import KafkaPython
from consumers.settings import ConsumerSettings
from engine.kafka.settings import KafkaSettings
from tests.consuming import Pipeline
from tests.services.process import wait_until

pytestmark = pytest.mark.services
EACH = 50


def polled(source, count):
    """The offsets of so many messages, or of those that come in ten seconds, by partition."""
    got = {0: [], 1: []}

    def enough():
        for partition, some in source.poll(0.1, 5).messages.items():
            got[partition] += [one.offset for one in some]
        return sum(map(len, got.values())) >= count

    wait_until(enough, seconds=10)
    return got


def test_a_partition_that_was_left_aside_half_read_is_read_on_when_it_is_wanted_again(
    kafka, tmp_path
):
    pipeline = Pipeline(None, kafka, tmp_path)
    for partition in (0, 1):
        pipeline.send_raw([(None, b"x")] * EACH, partition=partition)
    settings = KafkaSettings(tuple(kafka.servers.split(",")), pipeline.topic)
    with closing(KafkaPython(settings, ConsumerSettings(group=pipeline.topic))) as source:
        assert wait_until(lambda: source.poll(0.1, 0).owned)
        source.seek({0: 0, 1: 0})
        (begun,) = (one for one, offsets in polled(source, 5).items() if offsets)
        other = 1 - begun

        source.seek({other: 0})
        assert polled(source, EACH)[other] == [*range(EACH)]
        source.seek({begun: 5, other: EACH})

        assert polled(source, EACH - 5)[begun] == [*range(5, EACH)]
