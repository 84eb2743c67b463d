"""The fact: whose stream holds it, and which types and channels there are."""

from hashlib import sha256

import pytest

from engine.catalogue import catalogue, currencies
from engine.errors import NoStream
from engine.touchpoint import KINDS, Campaign, Identifier, Touchpoint

# Written down from the list of types, by hand; needed attributes after the colon.
TYPES = """
ad_impression ad_clicked page_viewed content_downloaded cta_shown cta_clicked social_engaged
review_posted review_read webinar_registered webinar_attended shop_visited form_submitted
email_sent email_delivered email_opened email_clicked email_replied email_bounced
email_unsubscribed email_marked_spam sms_sent sms_replied chat_started chat_messaged
call_attempted call_connected meeting_booked meeting_held meeting_missed demo_held trial_started
price_asked question_answered objection_raised objection_resolved lead_created assigned:owner
qualified disqualified accepted rejected stage_changed:stage opportunity_opened
opportunity_updated proposal_sent negotiated won lost reopened purchased refunded voucher_used
onboarded trained ticket_opened ticket_closed survey_answered testimonial_given referral_made
referred renewal_due renewed churned consent_given consent_withdrawn identified identity_linked
identity_unlinked touchpoint_retracted:source,event_id ad_spend_reported
"""


def touchpoint(**more):
    return Touchpoint(
        **{
            "source": "web",
            "event_id": "e-1",
            "type": "page_viewed",
            "occurred_at": 0,
            "received_at": 0,
            "content": "0" * 32,
            **more,
        }
    )


def test_the_kind_that_says_most_names_the_stream_then_the_lowest_digest():
    cookie, ann, bob = (
        Identifier("anonymous_id", "0" * 64),
        Identifier("user_id", "a" * 64),
        Identifier("user_id", "b" * 64),
    )
    assert touchpoint(identifiers=(bob, cookie, ann)).stream == ann
    assert touchpoint(identifiers=(cookie,)).stream == cookie


def test_kinds_go_from_a_crm_id_to_a_click():
    given = tuple(Identifier(kind, "0" * 64) for kind in reversed(KINDS))
    assert touchpoint(identifiers=given).primary == Identifier("crm_id", "0" * 64)


def test_a_retraction_that_names_nobody_lies_in_a_stream_of_what_it_voids():
    retraction = touchpoint(
        type="touchpoint_retracted", attributes={"source": "web", "event_id": "e-9"}
    )
    assert retraction.stream == Identifier("retraction", sha256(b"web\x1fe-9").hexdigest())


def test_a_retraction_that_names_somebody_lies_in_their_stream():
    ann = Identifier("user_id", "a" * 64)
    attributes = {"source": "web", "event_id": "e-9"}
    retraction = touchpoint(type="touchpoint_retracted", identifiers=(ann,), attributes=attributes)
    assert retraction.stream == ann


def test_what_a_campaign_cost_lies_in_the_campaign_s_stream():
    spend = touchpoint(type="ad_spend_reported", campaign=Campaign("google", name="tet"))
    digest = sha256(b"google\x1f\x1ftet\x1f\x1f").hexdigest()
    assert spend.stream == Identifier("campaign", digest)
    assert (
        touchpoint(type="ad_spend_reported").stream
        == touchpoint(type="ad_spend_reported", source="other").stream
    )


def test_what_names_nobody_and_is_no_record_has_no_stream():
    with pytest.raises(NoStream, match="page_viewed names nobody"):
        _ = touchpoint().stream


def test_the_catalogue_has_every_type_with_the_attributes_that_it_needs():
    wanted = {}
    for entry in TYPES.split():
        name, _, needs = entry.partition(":")
        wanted[name] = set(needs.split(",")) - {""}
    assert {name: set(one.needs) for name, one in catalogue().types.items()} == wanted


def test_every_type_says_what_it_means():
    assert all(one.about.endswith(".") for one in catalogue().types.values())


def test_every_attribute_has_a_type_that_avro_knows():
    attributes = [
        attribute
        for one in catalogue().types.values()
        for attribute in (*one.needs.values(), *one.may.values())
    ]
    assert {one.type for one in attributes} == {"string", "long", "double", "boolean"}


@pytest.mark.parametrize(
    ("kind", "fitting", "other"),
    [
        ("string", "7", 7),
        ("long", 7, 7.5),
        ("long", -7, True),
        ("double", 7.5, "7.5"),
        ("double", 7, False),
        ("boolean", True, 1),
    ],
)
def test_a_boolean_is_no_number_and_a_long_will_do_for_a_double(kind, fitting, other):
    attribute = next(
        one
        for known in catalogue().types.values()
        for one in (*known.needs.values(), *known.may.values())
        if one.type == kind
    )
    assert attribute.fits(fitting)
    assert not attribute.fits(other)
    assert not attribute.fits(None)


def test_there_are_24_channels_and_custom_ones():
    assert len(catalogue().channels) == 24
    assert catalogue().knows_channel("x_zalo")
    for name in ("tv", "x_", "x_two words", "X_zalo", "x_" + "a" * 63, "x_a\x1f"):
        assert not catalogue().knows_channel(name), name


@pytest.mark.parametrize(("code", "digits"), [("VND", 0), ("THB", 2), ("KWD", 3), ("HRK", 2)])
def test_currencies_know_their_minor_unit(code, digits):
    assert currencies()[code] == digits


def test_metals_and_test_codes_are_no_currencies():
    assert not {"XAU", "XTS", "XXX"} & currencies().keys()
