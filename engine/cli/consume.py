"""`consume`: touchpoints from Kafka into the database, until stopped."""

import os

import click

from engine.cli.kafka import topic_option
from engine.cli.options import database, metrics_port


@click.command("consume", short_help="Record what comes by Kafka, until stopped.")
@database
@topic_option
@click.option(
    "--group",
    metavar="NAME",
    help="Consumers of one group share the partitions.  "
    "[env: LEADLEDGER_GROUP; default: leadledger]",
)
@click.option(
    "--instance",
    metavar="NAME",
    help="A name of this consumer's own, by which the group knows it again after a restart.  "
    "[env: LEADLEDGER_INSTANCE; default: none]",
)
@click.option(
    "--client",
    type=click.Choice(["standard", "fast"]),
    help="fast: confluent-kafka and bulk decoding, of the extra leadledger[fast].  "
    "[env: LEADLEDGER_CLIENT; default: standard]",
)
@metrics_port
def consume_command(
    db: str | None,
    topic: str | None,
    group: str | None,
    instance: str | None,
    client: str | None,
    metrics_port: int | None,
) -> None:
    """Record the touchpoints of the topic, each with an effect exactly once.

    How far it has read is kept in the database, with what was recorded. It waits for a
    database or broker that is away; SIGTERM and Ctrl-C let it finish the batch in hand.
    Exit code 8 if the topic was made anew or cut short: see `leadledger kafka reset`.

    \b
        $ leadledger consume
        $ leadledger consume --client fast --instance consumer-1 --metrics-port 9464
    """
    from consumers.run import Wiring, run
    from consumers.settings import CLIENT, GROUP, INSTANCE, ConsumerSettings
    from engine.kafka.settings import KafkaSettings
    from engine.service import show_metrics, stopped_by_signals, tell
    from engine.settings import Settings

    tell()
    told = {GROUP: group, INSTANCE: instance, CLIENT: client}
    wiring = Wiring(
        Settings.load(os.environ, db),
        KafkaSettings.load(os.environ, topic),
        ConsumerSettings.load({**os.environ, **{name: it for name, it in told.items() if it}}),
    )
    show_metrics(wiring.engine, metrics_port)
    with stopped_by_signals() as stop:
        run(wiring, stop)
