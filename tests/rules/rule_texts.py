"""Texts that are rules, nearly rules, or no rules at all, drawn from a generator."""

SPOKEN = r"""
RULE r PRIORITY 10 AT edge cloud STRICT AWS SELECT * temp , smoke AS a.b.c [ 0 ] FROM 'x/+/y' '#' '${'
ON EVENT TIME LATE 5s WHERE temp > 60 AND OR NOT IN ( ) LIKE 'g*' BETWEEN 1 IS NULL UNDEFINED = <> != <=
+ - / % CASE WHEN THEN ELSE END TRUE FALSE 1e9 0.5 99999999999999999999 "q" { } : FOR 2s COOLDOWN 30s
ABSENT WINDOW TUMBLING HOPPING SLIDING SESSION COUNT STATE EVERY WITHIN UNTIL BY HAVING count sum avg abs
thing topic coalesce DISTINCT FILTER DESIRE SET EXPIRES 15m ALARM CRITICAL 'fire' '${temp}' '${a+}'
'${thing()}${' PUBLISH QOS COMMAND open TIMEOUT FORWARD db MASK ; CLEAR --x ' " \ $ & | ! @ # ~ ^ `
<< >> ** __class__ __import__ lambda eval exec import os 0x1f 1_000 .5 5. 5x \u00e9 \x00
"""
WORDS = [*SPOKEN.split(), "\n", "\0", "\u2028", "\U0001f525", "\ud800"]
GOOD = [
    """RULE a SELECT * FROM 'a/b' THEN FORWARD db""",
    """RULE b PRIORITY 3 SELECT thing() AS t, temp * 1.8 + 32 AS f FROM 'x/+/y' WHERE temp > 60 AND NOT off
    FOR 2s COOLDOWN 30s THEN ALARM CRITICAL 'fire' 'at ${t}: ${f}'; DESIRE 'g-*' SET gate='open' EXPIRES 15m
    CLEAR WHEN temp < 45 FOR 60s THEN COMMAND 'k/*' close (by='rule') TIMEOUT 2s""",
    """RULE c SELECT count(*) AS n, avg(v) FILTER (WHERE v > 0) AS m FROM '+/+/z' ON EVENT TIME LATE 5s
    WINDOW HOPPING 10s EVERY 5s BY level HAVING count(DISTINCT thing()) >= 2
    THEN PUBLISH 'o/${thing()}' {n: n, m: [m, 1]} QOS 0; FORWARD db (MASK plate, name)""",
    """RULE d SELECT CASE WHEN a THEN 1 ELSE 2 END AS k FROM 'q' ABSENT FOR 45m THEN ALARM MINOR 'x'""",
    """RULE e STRICT AWS SELECT * FROM 'q' WINDOW STATE WHEN a = 1 UNTIL b IN (1, 'x', NULL)
    THEN FORWARD db""",
]


def tokens(random):
    """Words of the language and others in any order."""
    count = int(random.integers(1, 60))
    return " ".join(WORDS[each] for each in random.integers(0, len(WORDS), count))


def mutated(random):
    """A good rule with some of its words or characters changed, doubled or left out."""
    text = GOOD[int(random.integers(len(GOOD)))]
    for _ in range(int(random.integers(1, 5))):
        place = int(random.integers(len(text) + 1))
        length = int(random.integers(0, 9))
        kind = int(random.integers(4))
        if kind == 0:
            text = text[:place] + text[place + length :]
        elif kind == 1:
            text = text[:place] + text[max(0, place - length) : place] * 3 + text[place:]
        elif kind == 2:
            text = text[:place] + f" {WORDS[int(random.integers(len(WORDS)))]} " + text[place + length :]
        else:
            text = text[:place] + chr(int(random.integers(1, 0x2FF))) + text[place:]
    return text


def text_of(random):
    """One or the other, some with a rule's head, so that the words get further."""
    if random.random() < 0.5:
        return mutated(random)
    head = "RULE r SELECT * FROM 'a/b' " if random.random() < 0.7 else ""
    return head + tokens(random)
