"""What is wrong with a rule file: each fault has its key and line, and is alone."""

import pytest

from tests.rule_faults import HERE, SOUND, faults_of

EARN = "[[score]]\nname = 'p'\n[[score.earn]]\nsignal = 'visit'\npoints = "
MOVE = "[[track.move]]\nto = 'cold'\n"
WHEN = f"{MOVE}when = "
TIMED = f"{MOVE}from = ['new']\n"
FUNNEL = "[[funnel]]\nname = 'f'\nstep = [{ signal = 'visit' }, { enters = 'life.old' }]\n"
CLOCK = "[[clock]]\nname = 'k'\nstart = { signal = 'visit' }\nstop = { enters = 'life.old' }\n"
CALENDAR = "[[calendar]]\nname = 'c'\n"
WHERE = "[[segment]]\nname = 'g'\nwhere = "
SIGNAL = "[[signal]]\nname = 'x'\n"


@pytest.mark.parametrize(
    ("added", "key", "line", "said"),
    [
        # signals
        (SIGNAL, "signal[1]", 0, "no condition"),
        (f"{SIGNAL}type = []", "signal[1].type", 2, "empty list"),
        (f"{SIGNAL}type = {{}}", "signal[1].type", 2, "must not be empty"),
        (f"{SIGNAL}type = {{ equals = 1 }}", "signal[1].type.equals", 2, "unknown key"),
        (f"{SIGNAL}type = {{ is = ['a'] }}", "signal[1].type.is", 2, "not a list"),
        (f"{SIGNAL}type = {{ in = 'a' }}", "signal[1].type.in", 2, "must be a list"),
        (f"{SIGNAL}type = {{ starts_with = 1 }}", "signal[1].type.starts_with", 2, "one text"),
        (f"{SIGNAL}type = {{ exists = 1 }}", "signal[1].type.exists", 2, "true or false"),
        (f"{SIGNAL}type = {{ at_least = true }}", "signal[1].type.at_least", 2, "not true"),
        (f"{SIGNAL}type = {{ at_most = '1' }}", "signal[1].type.at_most", 2, "a number"),
        (f"{SIGNAL}type = [1, inf]", "signal[1].type[1]", 2, "not a finite number"),
        (f"{SIGNAL}type = [[1]]", "signal[1].type[0]", 2, "not a list"),
        (f"{SIGNAL}type = 1e999", "signal[1].type", 2, "not a finite number"),
        (f"{SIGNAL}type = 9223372036854775808", "signal[1].type", 2, "beyond 64 bits"),
        (f"{SIGNAL}type = 0x{'f' * 5000}", "signal[1].type", 2, "beyond 64 bits"),
        (f"{SIGNAL}type = 12:30:00", "signal[1].type", 2, "date or time"),
        (f"{SIGNAL}type = {{ matches = '(?=a)' }}", "signal[1].type.matches", 2, "RE2"),
        (f"{SIGNAL}actor.name = 'x'", "signal[1].actor.name", 2, "unknown key"),
        (f"{SIGNAL}actor = 'lead'", "signal[1].actor", 2, "must be a table"),
        (f"{SIGNAL}attributes = {{}}", "signal[1].attributes", 2, "must not be empty"),
        (f"{SIGNAL}deal = '7'", "signal[1].deal", 2, "unknown key"),
        (f"{SIGNAL}any = []", "signal[1].any", 2, "empty list"),
        (f"{SIGNAL}any = [{{}}]", "signal[1].any[0]", 2, "must not be empty"),
        (f"{SIGNAL}any = {{ type = 'a' }}", "signal[1].any", 2, "[[signal.any]]"),
        ("[[signal]]\nname = 'visit'\ntype = 'a'", "signal[1].name", 1, "signal[0]"),
        ("[[signal]]\nname = '1a'\ntype = 'a'", "signal[1].name", 1, "is no name"),
        (f"[[signal]]\nname = 'a{'b' * 48}'\ntype = 'a'", "signal[1].name", 1, "is no name"),
        ("[[signal]]\nname = ['a']\ntype = 'a'", "signal[1].name", 1, "not a list"),
        ("[[signal]]\ntype = 'a'", "signal[1].name", 0, "is missing"),
        ("[[signal]]", "signal[1]", 0, "must not be empty"),
        (f"{SIGNAL}type = 'a'\nlabel = {{}}", "signal[1].label", 3, "must not be empty"),
        (f"{SIGNAL}type = 'a'\nlabel = 'a'", "signal[1].label", 3, "must be a table"),
        (f"{SIGNAL}type = 'a'\nlabel.en = ''", "signal[1].label.en", 3, "empty text"),
        # scores
        (f"{EARN}'5'", "score[1].earn[0].points", 4, "must be a number"),
        (f"{EARN}1000000.000001", "score[1].earn[0].points", 4, "too far from 0"),
        (f"{EARN}1e-7", "score[1].earn[0].points", 4, "more than 6 decimals"),
        (f"{EARN}0.{'0' * 40}1", "score[1].earn[0].points", 4, "more than 6 decimals"),
        (f"{EARN}-inf", "score[1].earn[0].points", 4, "not a finite number"),
        (f"{EARN}1\nat_most = 0", "score[1].earn[0].at_most", 5, "from 1 to"),
        (f"{EARN}1\nat_most = 1.0", "score[1].earn[0].at_most", 5, "must be an integer"),
        (f"{EARN}1\nevery = '1d'", "score[1].earn[0].every", 5, "only with `at_most`"),
        ("[[score]]\nname = 'p'\nearn = []", "score[1].earn", 2, "empty list"),
        ("[[score]]\nname = 'p'\nhalf_life = '59m'", "score[1].half_life", 2, "at least 1h"),
        ("[[score]]\nname = 'p'\nhalf_life = '0d'", "score[1].half_life", 2, "no duration"),
        ("[[score]]\nname = 'p'\nhalf_life = '1000001w'", "score[1].half_life", 2, "too long"),
        ("[[score]]\nname = 'p'\nfloor = 0.1", "score[1].floor", 2, "above 0"),
        ("[[score]]\nname = 'p'\ncap = -1", "score[1].cap", 2, "below 0"),
        # tracks
        ("[[track]]\nname = 't'", "track[1].stage", 0, "is missing"),
        ("[[track]]\nname = 't'\nstage.name = 'a'", "track[1].stage", 2, "[[track.stage]]"),
        ("[[track]]\nname = 'life'\nstage = [{ name = 'a' }]", "track[1].name", 1, "track[0]"),
        ("[[track]]\nname = 't'\nstage = [{ name = 'none' }]", "track[1].stage[0].name", 2, "none"),
        (
            "[[track]]\nname = 't'\nstage = [{ name = 'a', probability = 1.01 }]",
            "track[1].stage[0].probability",
            2,
            "no probability",
        ),
        # moves
        (MOVE, "track[0].move[0]", 0, "says not when"),
        (f"{WHEN}{{}}", "track[0].move[0].when", 2, "must not be empty"),
        (f"{WHEN}{{ signal = 'vist' }}", "track[0].move[0].when.signal", 2, "did you mean visit?"),
        (f"{WHEN}{{ seen = ['visit', 'x'] }}", "track[0].move[0].when.seen[1]", 2, "no signal"),
        (f"{WHEN}{{ score = 's' }}", "track[0].move[0].when.score", 2, "`at_least`, `below`"),
        (f"{WHEN}{{ below = 1 }}", "track[0].move[0].when.below", 2, "only with `score`"),
        (f"{WHEN}{{ score = ['s'], below = 1 }}", "track[0].move[0].when.score", 2, "a list"),
        (
            f"{WHEN}{{ count = {{ signal = 'visit' }} }}",
            "track[0].move[0].when.count.at_least",
            2,
            "is missing",
        ),
        (f"{WHEN}{{ stage = 'life.new' }}", "track[0].move[0].when.stage", 2, "earlier"),
        (f"{WHEN}{{ stage = 'lief.new' }}", "track[0].move[0].when.stage", 2, "did you mean life?"),
        (f"{WHEN}{{ stage = 'new' }}", "track[0].move[0].when.stage", 2, "track.stage"),
        (f"{TIMED}after_stay='1d'\nafter_silence='1d'", "track[0].move[0]", 0, "this has 2"),
        (f"{TIMED}after_stay='1d'\nwhen={{seen='visit'}}", "track[0].move[0].when", 4, "either"),
        (f"{TIMED}after_stay='1d'\nof='visit'", "track[0].move[0].of", 4, "`after_silence`"),
        (f"{MOVE}after_stay='1d'", "track[0].move[0].from", 0, "is missing"),
        (f"{MOVE}after_stay='1d'\nfrom=['*']", "track[0].move[0].from[0]", 3, "by name"),
        (f"{MOVE}after_stay='1d'\nfrom='none'", "track[0].move[0].from", 3, "by name"),
        (f"{MOVE}after_stay='1d'\nfrom='cold'", "track[0].move[0].from", 3, "cannot leave"),
        (f"{MOVE}from = []\nwhen.seen = 'visit'", "track[0].move[0].from", 2, "empty list"),
        (f"{TIMED}below_score.score = 's'", "track[0].move[0].below_score.below", 3, "is missing"),
        (
            f"{TIMED}after_stay='1d'\n[[track.move]]\nto='new'\nfrom='cold'\nafter_stay='1d'",
            "track[0].move[1]",
            4,
            "in a circle: from cold to new",
        ),
        # funnels
        ("[[funnel]]\nname = 'f'", "funnel[0].step", 0, "is missing"),
        (f"{FUNNEL}order = 'loose'", "funnel[0].order", 3, "none of ordered"),
        (f"{FUNNEL}entry = 'every'", "funnel[0].window", 0, "is missing"),
        (f"{FUNNEL}universe = ['visit']", "funnel[0].universe", 3, "strict"),
        (
            f"{FUNNEL}exclude = [{{ signal = 'visit', after = 2, before = 2 }}]",
            "funnel[0].exclude[0].before",
            3,
            "later step",
        ),
        (
            f"{FUNNEL}exclude = [{{ signal = 'visit', after = 1, before = 3 }}]",
            "funnel[0].exclude[0].before",
            3,
            "from 1 to 2",
        ),
        (
            f"{FUNNEL}order = 'unordered'\n[[funnel.exclude]]\nsignal='visit'\nafter=1\nbefore=2",
            "funnel[0].exclude",
            4,
            "no exclusions",
        ),
        (
            "[[funnel]]\nname = 'f'\nstep = [{ signal = 'visit', within = '1d' }]",
            "funnel[0].step[0].within",
            2,
            "first step",
        ),
        (
            f"{FUNNEL.replace(' }]', ', within = `1d` }]').replace('`', chr(39))}order='unordered'",
            "funnel[0].step[1].within",
            2,
            "unordered",
        ),
        (
            "[[funnel]]\nname = 'f'\nstep = [{ signal = 'visit', enters = 'life.old' }]",
            "funnel[0].step[0]",
            2,
            "exactly one",
        ),
        (
            "[[funnel]]\nname = 'f'\nstep = [{ enters = 'life.none' }]",
            "funnel[0].step[0].enters",
            2,
            "no stage 'none'",
        ),
        # clocks and calendars
        (CLOCK, "clock[0].within", 0, "is missing"),
        (f"{CLOCK}within = 1", "clock[0].within", 4, "one text"),
        (f"{CLOCK}within = '1h'\ncalendar = 'c'", "clock[0].calendar", 5, "known: none"),
        (f"{CLOCK}within = '1h'\ncancel = {{}}", "clock[0].cancel", 5, "must not be empty"),
        (CALENDAR, "calendar[0].hours", 0, "is missing"),
        (f"{CALENDAR}hours = {{}}", "calendar[0].hours", 2, "must not be empty"),
        (f"{CALENDAR}hours.mon = []", "calendar[0].hours.mon", 2, "empty list"),
        (f"{CALENDAR}hours.mon = ['9:00-10:00']", "calendar[0].hours.mon[0]", 2, "no span"),
        (f"{CALENDAR}hours.mon = ['24:00-24:00']", "calendar[0].hours.mon[0]", 2, "no span"),
        (f"{CALENDAR}hours.mon = ['10:00-10:00']", "calendar[0].hours.mon[0]", 2, "begun"),
        (
            f"{CALENDAR}hours.mon = ['10:00-12:00', '11:59-13:00']",
            "calendar[0].hours.mon",
            2,
            "overlap",
        ),
        (f"{CALENDAR}hours.mo = '09:00-10:00'", "calendar[0].hours.mo", 2, "did you mean mon?"),
        (
            f"{CALENDAR}hours.mon = '09:00-10:00'\nzone = '../UTC'",
            "calendar[0].zone",
            3,
            "no time zone",
        ),
        (
            f"{CALENDAR}hours.mon = '09:00-10:00'\nholidays = 'XX'",
            "calendar[0].holidays",
            3,
            "no country",
        ),
        (
            f"{CALENDAR}hours.mon = '09:00-10:00'\nholidays = ['2026-02-30']",
            "calendar[0].holidays[0]",
            3,
            "is no date",
        ),
        (
            f"{CALENDAR}hours.mon = '09:00-10:00'\nholidays = [2026-02-03]",
            "calendar[0].holidays[0]",
            3,
            "a date or time of TOML",
        ),
        # segments
        ("[[segment]]\nname = 'g'", "segment[0].where", 0, "is missing"),
        (f"{WHERE}{{ stage = 'life.cool' }}", "segment[0].where.stage", 2, "did you mean cold?"),
        (f"{WHERE}{{ has_owner = 'yes' }}", "segment[0].where.has_owner", 2, "true or false"),
        (f"{WHERE}{{ silent_for = '3 d' }}", "segment[0].where.silent_for", 2, "no duration"),
        (f"{WHERE}{{ first_channel = [] }}", "segment[0].where.first_channel", 2, "empty list"),
        (
            f"{WHERE}{{ value_at_least = {{ minor = 5, currency = 'usd' }} }}",
            "segment[0].where.value_at_least.currency",
            2,
            "no currency",
        ),
        (
            f"{WHERE}{{ value_at_least = {{ currency = 'USD' }} }}",
            "segment[0].where.value_at_least.minor",
            2,
            "is missing",
        ),
        # what is not there yet
        ("[attribution]\nmodel = 'last'", "attribution", 0, "unknown key"),
        ("[segment]\nname = 'g'", "segment", 0, "[[segment]]"),
    ],
)
def test_a_fault_has_its_key_and_line_and_is_alone(added, key, line, said):
    (fault,) = faults_of(SOUND + added)
    assert (fault.key, fault.line) == (key, HERE + line)
    assert said in fault.message
