"""Which messages a rule takes, and in which order rules run."""

import pytest

from twin.errors import InputError
from twin.state.records import Records, Transaction
from twin.state.rules.component import Rules


def rule(name, source="sensor/+/telemetry", head="", text="x"):
    return f"RULE {name} {head} SELECT * FROM '{source}' THEN ALARM MINOR '{text}'\n"


@pytest.mark.parametrize(
    ("source", "topic", "fires"),
    [
        ("sensor/+/telemetry", "site/a/sensor/x/telemetry", True),
        ("sensor/+/telemetry", "sensor/x/telemetry", True),
        ("sensor/+/telemetry", "site/a/other/x/telemetry", False),
        ("site/+/sensor/+/telemetry", "site/a/sensor/x/telemetry", True),
        ("site/+/sensor/+/telemetry", "sensor/x/telemetry", False),
        ("site/b/#", "site/a/sensor/x/telemetry", False),
        ("+/+/event/#", "site/a/sensor/x/event/alarm", True),
        ("$aws/things/+/shadow/update/documents", "$aws/things/x/shadow/update/documents", True),
        ("+/things/x/#", "$aws/things/x/shadow/update", False),
    ],
)
def test_a_field_topic_is_taken_with_and_without_its_site(bench, source, topic, fires):
    """A filter of the field holds at a gateway and at a broker; one with a site at a broker only."""
    assert bool(bench(rule("r", source)).say(0, topic)) is fires


def test_the_topic_is_that_of_the_filter(bench):
    """The same rule sees the same topic wherever it runs, unless it asks for the site."""
    text = "RULE r SELECT * FROM '{}' THEN ALARM MINOR 'x' '${{topic(1)}} ${{thing()}}'"
    for source, shown in (("sensor/+/telemetry", "sensor a"), ("site/+/sensor/+/telemetry", "site a")):
        rules = bench(text.format(source))
        rules.say(0)
        assert rules.performed[0].text == shown


def test_the_greatest_priority_runs_first(bench):
    """Rules of equal priority run as they are written, each once, however many of its filters match."""
    text = rule("one") + rule("two", head="PRIORITY 5") + rule("three") + rule("four", head="PRIORITY -1")
    assert [name for _, name, *_ in bench(text).say(0)] == ["two", "one", "three", "four"]


def test_a_rule_runs_where_it_says(bench):
    """AT chooses of the rules of one file those of a place."""
    text = rule("here", head="AT edge") + rule("there", head="AT cloud") + rule("both")
    assert [name for _, name, *_ in bench(text, place="edge").say(0)] == ["here", "both"]
    assert [name for _, name, *_ in bench(text, place="cloud").say(0)] == ["there", "both"]


def test_the_component_takes_the_field_and_what_rules_ask_besides(bench):
    """Everything of the sites, and further filters of the rules that were given."""
    text = rule("one") + rule("two", "$aws/things/+/shadow/update/documents") + rule("three", "site/a/#")
    assert list(bench(text).rules.filters) == ["site/#", "$aws/things/+/shadow/update/documents"]


class TestRulesThatComeAndGo:
    """Rules are records, changed in transactions."""

    def put(self, rules, records, text, **how):
        transaction = Transaction(records, 0.0)
        return rules.put_rule(text, transaction, **how)

    def test_a_rule_that_is_put_in_runs(self, bench):
        """It takes the place of a given one of its name, and goes again."""
        made = bench(rule("r", text="given"))
        self.put(made.rules, made.records, rule("r", text="put"), who="ann")
        made.say(0)
        assert made.performed[-1].type == "put"
        assert made.records.get("rule", "r").who == "ann"
        made.rules.remove_rule("r", Transaction(made.records, 1.0))
        made.say(2)
        assert made.performed[-1].type == "given"

    def test_each_change_is_a_version(self, bench):
        """The record says how often a rule was changed and whether it runs."""
        made = bench("RULE other SELECT * FROM 'a' THEN ALARM MINOR 'x'")
        for text in ("a", "b"):
            self.put(made.rules, made.records, rule("r", text=text))
        made.rules.enable_rule("r", Transaction(made.records, 0.0), is_enabled=False)
        found = made.records.get("rule", "r")
        assert (found.version, found.is_enabled) == (3, False)
        assert made.say(0) == []

    def test_a_fork_has_its_own_rules(self, bench):
        """What is put in at one side does not run at the other."""
        made = bench(rule("r"))
        branch = made.records.fork()
        self.put(made.rules, branch, rule("s"))
        assert [each.name for each in made.rules.program(branch).rules] == ["r", "s"]
        assert [each.name for each in made.rules.program(made.records).rules] == ["r"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (rule("r", "elsewhere/#").replace("elsewhere", "$sys"), "no messages of"),
            (rule("a") + rule("b"), "one rule was expected, not 2"),
            ("RULE r SELECT FROM 'x' THEN", "expected a value"),
        ],
    )
    def test_what_cannot_run_is_refused(self, text, message):
        """Also a rule that would wait for messages that never come."""
        with pytest.raises(InputError, match=message):
            self.put(Rules(), Records(), text)

    def test_an_unknown_rule_has_a_nearest_name(self, bench):
        """Who takes out a rule that is not there is told which is."""
        made = bench(rule("fire"))
        self.put(made.rules, made.records, rule("fire_gate"))
        with pytest.raises(InputError, match="did you mean 'fire_gate'"):
            made.rules.remove_rule("fire_gat", Transaction(made.records, 0.0))
