"""Settings of Kafka: read once, checked, and secret where they must be."""

import pytest

from engine.errors import BadSetting
from engine.kafka.settings import KafkaSettings

SERVERS = {"LEADLEDGER_KAFKA": "one:9092, [::1]:9093"}
SECRET = "correct horse"
SASL = {"LEADLEDGER_KAFKA_USER": "ann", "LEADLEDGER_KAFKA_PASSWORD": SECRET}


def load(**more):
    return KafkaSettings.load({**SERVERS, **more})


def test_servers_and_topic_are_enough():
    settings = load()
    assert settings.python() == {
        "bootstrap_servers": ["one:9092", "[::1]:9093"],
        "security_protocol": "PLAINTEXT",
    }
    assert settings.native() == {
        "bootstrap.servers": "one:9092,[::1]:9093",
        "security.protocol": "PLAINTEXT",
    }
    assert (settings.topic, settings.aside) == ("touchpoints", "touchpoints.aside")
    assert settings.registry() is None


def test_the_topic_that_is_named_outweighs_the_environments():
    assert load(LEADLEDGER_TOPIC="theirs").topic == "theirs"
    assert KafkaSettings.load({**SERVERS, "LEADLEDGER_TOPIC": "theirs"}, "mine").topic == "mine"


def test_user_and_password_mean_tls_unless_something_else_is_said():
    assert load(**SASL).python()["security_protocol"] == "SASL_SSL"
    plain = load(**SASL, LEADLEDGER_KAFKA_SECURITY="SASL_PLAINTEXT").native()
    assert (plain["security.protocol"], plain["sasl.mechanism"]) == ("SASL_PLAINTEXT", "PLAIN")
    assert (plain["sasl.username"], plain["sasl.password"]) == ("ann", SECRET)


def test_a_certificate_means_tls(tmp_path):
    (tmp_path / "ca.pem").write_text("-")
    given = load(LEADLEDGER_KAFKA_CA_FILE=str(tmp_path / "ca.pem")).python()
    assert (given["security_protocol"], given["ssl_cafile"]) == ("SSL", str(tmp_path / "ca.pem"))


def test_secrets_are_in_no_text_that_settings_become():
    settings = load(**SASL, LEADLEDGER_REGISTRY=f"http://ann:{SECRET.replace(' ', '%20')}@registry")
    assert "horse" not in f"{settings} {settings!r} {settings.registry()!r}"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"LEADLEDGER_KAFKA": ""}, "LEADLEDGER_KAFKA is not set"),
        ({"LEADLEDGER_KAFKA": "one"}, "HOST:PORT"),
        ({"LEADLEDGER_KAFKA": "one:9092,,two:9092"}, "HOST:PORT"),
        ({"LEADLEDGER_KAFKA": f"ann:{SECRET}@one:9092"}, "HOST:PORT"),
        ({"LEADLEDGER_KAFKA_PASWORD": SECRET}, "did you mean LEADLEDGER_KAFKA_PASSWORD"),
        ({"LEADLEDGER_KAFKA_PASSWORD": SECRET}, "LEADLEDGER_KAFKA_USER is missing"),
        ({"LEADLEDGER_KAFKA_USER": "ann"}, "LEADLEDGER_KAFKA_PASSWORD is missing"),
        ({**SASL, "LEADLEDGER_KAFKA_SECURITY": "PLAINTEXT"}, "write SASL_SSL"),
        ({"LEADLEDGER_KAFKA_SECURITY": "SASL_SSL"}, "write PLAINTEXT"),
        ({"LEADLEDGER_KAFKA_SECURITY": "TLS"}, "use one of PLAINTEXT, SSL"),
        ({**SASL, "LEADLEDGER_KAFKA_MECHANISM": SECRET}, "use one of PLAIN, SCRAM"),
        ({"LEADLEDGER_KAFKA_CA_FILE": "/no/such.pem"}, "name a file that is there"),
        ({"LEADLEDGER_TOPIC": "a b"}, "letters, digits"),
        ({"LEADLEDGER_TOPIC": ".."}, "letters, digits"),
        ({"LEADLEDGER_TOPIC": "a" * 244}, "243"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_name_and_without_secrets(wrong, named):
    with pytest.raises(BadSetting, match=named) as refused:
        load(**wrong)
    assert "horse" not in str(refused.value)
