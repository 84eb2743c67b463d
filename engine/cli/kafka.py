"""`kafka`: the topics, made, looked over, and read anew where they changed underneath."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from engine.cli import output
from engine.cli.group import Group
from engine.cli.options import as_json, database
from engine.cli.session import session

if TYPE_CHECKING:
    from engine.kafka.reset import Move, Plan
    from engine.kafka.settings import KafkaSettings
    from engine.kafka.topics import Difference

DIFFERENT = 5  # exit code: something is not as it must be
NOT_SAID_YES = 2
Command = TypeVar("Command", bound=Callable[..., Any])


def topic_option(command: Command) -> Command:
    """`--topic`: which topic."""
    return click.option(
        "--topic",
        metavar="NAME",
        help="The topic; what is set aside is in NAME.aside.  "
        "[env: LEADLEDGER_TOPIC; default: touchpoints]",
    )(command)


def kafka_settings(topic: str | None) -> "KafkaSettings":
    """Where Kafka is; from now on its client keeps to itself what it logs, we say what counts."""
    import logging

    from engine.kafka.settings import KafkaSettings

    logging.getLogger("kafka").addHandler(logging.NullHandler())
    logging.getLogger("kafka").propagate = False
    return KafkaSettings.load(os.environ, topic)


@click.group("kafka", cls=Group, short_help="The topics: make, check, read anew.")
def kafka_command() -> None:
    """The topics of touchpoints, on the brokers that LEADLEDGER_KAFKA names.

    \b
        $ export LEADLEDGER_KAFKA=localhost:9092
        $ leadledger kafka init --partitions 4
        $ leadledger kafka check
    """


@kafka_command.command("init", short_help="Make the topics that are missing.")
@click.option(
    "--partitions",
    type=click.IntRange(1, 10_000),
    help="Of each topic; chosen once, as it decides where a key lies.  [default: 24]",
)
@click.option(
    "--replication",
    type=click.IntRange(1, 100),
    help="Copies of each.  [default: 3, or as many as there are brokers]",
)
@topic_option
@as_json
def init_topics(
    partitions: int | None, replication: int | None, topic: str | None, as_json: bool
) -> None:
    """Make the topics, for ever and never compacted; one that is there is left as it is.

    One is for touchpoints, one for those that are set aside, one for announcements
    (LEADLEDGER_LIFECYCLE_TOPIC).

    Where one that is there differs from what it must be, says so and how to mend it
    (exit code 5).

    \b
        $ leadledger kafka init
        $ leadledger kafka init --partitions 4 --replication 1
    """
    kafka = kafka_settings(topic)
    from engine.kafka import topics

    made = topics.init(kafka, partitions, replication)
    if as_json:
        told = [one._asdict() for one in made.differences]
        output.emit({"created": made.created, "differences": told})
    else:
        for name in kafka.topics:
            click.echo(f"{name}: {'made' if name in made.created else 'was there'}")
        _tell(made.differences)
    raise SystemExit(DIFFERENT if made.differences else 0)


@kafka_command.command("check", short_help="Say what is not as it must be.")
@topic_option
@as_json
def check_topics(topic: str | None, as_json: bool) -> None:
    """Compare the topics with what they must be; changes nothing.

    Exit code 5 if something differs, 4 if a topic is missing.

    \b
        $ leadledger kafka check
    """
    kafka = kafka_settings(topic)
    from engine.kafka import topics

    differences = topics.check(kafka)
    if as_json:
        output.emit([one._asdict() for one in differences])
    else:
        _tell(differences)
        if not differences:
            click.echo(f"{', '.join(kafka.topics)} are as they must be")
    raise SystemExit(DIFFERENT if differences else 0)


@kafka_command.command("reset", short_help="Read on where a topic was made anew or cut short.")
@database
@topic_option
@click.option("--all", "everything", is_flag=True, help="Every partition, from its beginning.")
@click.option("--yes", is_flag=True, help="Do it; otherwise it is only said.")
@as_json
def reset_offsets(
    db: str | None, topic: str | None, everything: bool, yes: bool, as_json: bool
) -> None:
    """Let consumers go on at the earliest message where what they read last is no more.

    Needed where a topic was made anew, or messages were cut off that nobody had read.
    What is read twice has no effect. A consumer that is running loses the partitions.

    \b
        $ leadledger kafka reset
        $ leadledger kafka reset --yes
    """
    kafka = kafka_settings(topic)
    from engine.kafka import reset

    with session(db) as opened:
        plan = reset.plan(opened.facts, kafka, everything)
        if yes:
            reset.carry_out(opened.facts, plan)
    done = yes or not plan.moves
    if as_json:
        output.emit({"moves": [move._asdict() for move in plan.moves], "done": done})
    else:
        _tell_plan(plan, done)
    raise SystemExit(0 if done else NOT_SAID_YES)


def _tell(differences: "Sequence[Difference]") -> None:
    for one in differences:
        click.echo(f"{one.topic}: {one.what} is {one.found}, not {one.wanted}")
        click.echo(f"      → {one.fix}")


def _tell_plan(plan: "Plan", done: bool) -> None:
    for move in plan.moves:
        click.echo(f"{plan.topic}, partition {move.partition}: {_told(move)}")
    if not plan.moves:
        click.echo(f"{plan.topic}: every partition can be read on from where it was")
    elif not done:
        output.note("nothing was changed; say --yes to do it")


def _told(move: "Move") -> str:
    lost = ""
    if move.lost:
        lost = f", and {move.lost:,} messages were never read"
    return f"read up to {move.kept:,}, but {move.why}{lost}; to be read on from {move.begin:,}"
