"""A rule for each clause that has to do with time, and how firings are compared."""

from twin.state.rules.replay import Recorded, Replay

RULES = """
RULE each PRIORITY 1 SELECT * FROM 'sensor/+/event/alarm' THEN ALARM MINOR 'each'
RULE held SELECT * FROM 'sensor/+/telemetry' WHERE temp > 60 FOR 2{scale}s THEN ALARM MINOR 'held'
RULE cooled SELECT * FROM 'sensor/+/telemetry' WHERE temp > 40 COOLDOWN 5{scale}s THEN ALARM MINOR 'cooled'
RULE both SELECT * FROM 'sensor/+/telemetry' WHERE temp > 60 FOR 1{scale}s COOLDOWN 6{scale}s
THEN ALARM MINOR 'both' CLEAR WHEN temp < 45 FOR 3{scale}s THEN COMMAND 'x' off
RULE latched SELECT * FROM 'sensor/+/telemetry' WHERE temp > 60 OR smoke > 0.1
THEN ALARM MINOR 'latched' CLEAR WHEN temp < 45
RULE silent SELECT * FROM 'sensor/+/telemetry' WHERE temp > 0 ABSENT FOR 9{scale}s THEN ALARM MINOR 'silent'
RULE tumbling SELECT avg(temp) AS t FROM 'sensor/+/telemetry' WINDOW TUMBLING 4{scale}s BY 'all'
HAVING count(*) >= 2 THEN FORWARD d
RULE late SELECT count(*) AS n FROM 'sensor/+/telemetry' ON EVENT TIME LATE 2{scale}s
WINDOW HOPPING 6{scale}s EVERY 2{scale}s THEN FORWARD d
RULE sliding SELECT max(temp) AS t FROM 'sensor/+/telemetry' WINDOW SLIDING 5{scale}s
HAVING count(DISTINCT temp) >= 2 FOR 1{scale}s THEN FORWARD d
RULE emptied SELECT * FROM 'sensor/+/telemetry' WINDOW TUMBLING 7{scale}s HAVING count(*) >= 2
COOLDOWN 5{scale}s THEN ALARM MINOR 'emptied' CLEAR WHEN count(*) < 1
RULE missed SELECT * FROM 'sensor/+/telemetry' ABSENT FOR 2{scale}s COOLDOWN 7{scale}s
THEN ALARM MINOR 'missed'
RULE session SELECT stddev(temp) AS d FROM 'sensor/+/#' WINDOW SESSION 3{scale}s WITHIN 8{scale}s BY 'all'
THEN FORWARD d
RULE counted SELECT last(temp) AS t FROM 'sensor/+/telemetry' WINDOW COUNT 4 EVERY 3 THEN FORWARD d
RULE opened SELECT count(*) AS n FROM 'sensor/+/telemetry'
WINDOW STATE WHEN temp > 60 UNTIL temp < 45 BY 'all' THEN FORWARD d
"""


def firing_of(firing):
    """What two firings are compared by."""
    what = "cleared" if firing.is_cleared else "fired"
    return firing.at_s, firing.rule.name, firing.partition, what, firing.document()


def replayed(rules, told, end_s):
    """The firings of `windtunnel rules test` for (time, topic, payload)."""
    replay = Replay(rules)
    found = []
    for at_s, topic, payload in told:
        found += replay.wait(at_s) + replay.tell(Recorded(at_s, topic, payload))
    found += replay.wait(end_s)
    return [
        (each.at_s, each.rule, each.partition, "cleared" if each.is_cleared else "fired", each.document)
        for each in found
    ]
