"""Finding things: a small query language, pages, and who is meant by a name, a group or a query.

    type:boom_gate site:car_park tag:fire level:L2 -state:retired attribute.maker:acme exit

All words must hold. `key:value` compares a field (`*` and `?` stand for any text, "quotes" keep spaces), a
minus before it turns it round, a word alone is looked for in name, location, tags and attributes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from fnmatch import translate
from heapq import nsmallest
from typing import Final, NamedTuple, TypeAlias

from twin.state.records import Records
from twin.state.registry.things import GROUP, THING, Group, RegistryError, Thing, check_thing_name, unknown

LONGEST_QUERY: Final = 2_000
MOST_WORDS: Final = 50
MOST_STARS: Final = 5
LARGEST_PAGE: Final = 1_000
DEEPEST_GROUPS: Final = 16
GROUP_PREFIX: Final = "group:"
ATTRIBUTE: Final = "attribute."

Test: TypeAlias = Callable[[Thing], bool]

_FIELDS: Final = ("name", "type", "site", "level", "bay", "via", "state", "location")
_KEYS: Final = (*_FIELDS, "tag", "group", ATTRIBUTE + "NAME")


class Page(NamedTuple):
    """Some of the things that a query finds, by name; `after` asks for the next page ('' if none)."""

    things: list[Thing]
    total_count: int
    after: str


def search(records: Records, query: str, *, limit: int = 100, after: str = "") -> Page:
    """The things that a query finds, `limit` at a time. Raises RegistryError for a query it does not know."""
    if not 1 <= limit <= LARGEST_PAGE:
        raise RegistryError(400, f"a page has 1 to {LARGEST_PAGE} things, not {limit}")
    found = _found(query, records)
    names = nsmallest(limit + 1, (name for name in found if name > after) if after else found)
    things = [records.get(THING, name) for name in names[:limit]]
    return Page(things, len(found), names[limit - 1] if len(names) > limit else "")


def members_of(records: Records, target: str) -> list[str]:
    """The names of the things that are meant by a thing's name, `group:NAME`, or a query.

    A name without a record means itself: there are things that nobody registered. Raises RegistryError for
    a group or query that is not known.
    """
    if records.get(THING, target) is not None:
        return [target]
    if target.startswith(GROUP_PREFIX) and records.get(GROUP, target.removeprefix(GROUP_PREFIX)) is not None:
        return sorted(_members(records, target.removeprefix(GROUP_PREFIX)))
    if ":" not in target and " " not in target and not target.startswith(("-", '"')):
        check_thing_name(target)
        return [target]
    return sorted(_found(target, records))


def groups_of(records: Records, thing: Thing) -> list[str]:
    """The groups that a thing is in: those it was put in, those that find it, and those above them."""
    groups: dict[str, Group] = records.of(GROUP)
    direct = [*thing.groups, *(name for name, each in groups.items() if each.query)]
    found: dict[str, None] = {}
    for name in direct:
        is_put_in = name in thing.groups
        if is_put_in or compiled(groups[name].query, None)(thing):
            found.update(dict.fromkeys(_upward(groups, name)))
    return list(found)


def compiled(query: str, records: Records | None) -> Test:
    """A query as a test of one thing; raises RegistryError for what it does not know.

    Without records, as the query of a group, it cannot name groups: they would be found in circles.
    """
    tests = [_word(word, records) for word in _words(query)]
    return lambda thing: all(test(thing) for test in tests)


def _found(query: str, records: Records) -> list[str]:
    """The names of the things for which all words hold: each word looks at what the ones before it left."""
    things: list[Thing] = list(records.of(THING).values())
    for word in _words(query):
        test = _word(word, records)
        things = [thing for thing in things if test(thing)]
    return [thing.name for thing in things]


def _words(query: str) -> list[str]:
    if len(query) > LONGEST_QUERY:
        raise RegistryError(400, f"a query has at most {LONGEST_QUERY} characters, not {len(query)}")
    lexer = shlex.shlex(query, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters, lexer.quotes, lexer.escape = True, "", '"', ""
    try:
        words = list(lexer)
    except ValueError as error:
        raise RegistryError(400, f"query {query!r}: a quotation mark is not closed") from error
    if len(words) > MOST_WORDS:
        raise RegistryError(400, f"a query has at most {MOST_WORDS} words, not {len(words)}")
    return words


def _word(word: str, records: Records | None) -> Test:
    if word.startswith("-") and len(word) > 1:
        inner = _word(word[1:], records)
        return lambda thing: not inner(thing)
    key, colon, value = word.partition(":")
    if not colon:
        return _text(word)
    if not value:
        raise RegistryError(400, f"query: {word!r} lacks a value; write {key}:VALUE")
    if key.startswith(ATTRIBUTE) and len(key) > len(ATTRIBUTE):
        return _attribute(key.removeprefix(ATTRIBUTE), _pattern(value))
    if key == "group":
        if records is None:
            raise RegistryError(
                400, "the query of a group cannot name a group; put one below it as its parent"
            )
        return _in_group(records, value)
    if key == "tag":
        return _has_tag(value)
    if key not in _FIELDS:
        raise RegistryError(400, f"query: {unknown('key', key, _KEYS)}")
    return _field(key, value)


def _text(word: str) -> Test:
    wanted = word.casefold()

    def test(thing: Thing) -> bool:
        texts = (thing.name, thing.location, *thing.tags, *thing.attributes.values())
        return any(wanted in text.casefold() for text in texts)

    return test


def _field(key: str, value: str) -> Test:
    if not _is_pattern(value):
        return lambda thing: bool(getattr(thing, key) == value)
    matches = _pattern(value)
    return lambda thing: matches(getattr(thing, key))


def _has_tag(value: str) -> Test:
    if not _is_pattern(value):
        return lambda thing: value in thing.tags
    matches = _pattern(value)
    return lambda thing: any(matches(tag) for tag in thing.tags)


def _attribute(name: str, matches: Callable[[str], bool]) -> Test:
    return lambda thing: name in thing.attributes and matches(thing.attributes[name])


def _in_group(records: Records, name: str) -> Test:
    if records.get(GROUP, name) is None:
        raise RegistryError(400, f"query: {unknown('group', name, records.of(GROUP))}")
    members: set[str] = set()
    is_known = False

    def test(thing: Thing) -> bool:
        nonlocal is_known
        if not is_known:
            members.update(_members(records, name))
            is_known = True
        return thing.name in members

    return test


def _is_pattern(value: str) -> bool:
    return "*" in value or "?" in value


def _pattern(value: str) -> Callable[[str], bool]:
    """Whether a text is like the value; few stars, because each costs a walk along the text."""
    if value.count("*") > MOST_STARS:
        raise RegistryError(400, f"query: {value!r} has more than {MOST_STARS} stars")
    if not _is_pattern(value):
        return lambda text: text == value
    compiled_pattern = re.compile(translate(value.replace("[", "[[]")))
    return lambda text: compiled_pattern.match(text) is not None


# groups --------------------------------------------------------------------------------------------------


def _members(records: Records, name: str) -> set[str]:
    """Who is in a group or in one below it."""
    groups: dict[str, Group] = records.of(GROUP)
    below = {each for each in groups if name in _upward(groups, each)}
    found = {thing.name for thing in records.of(THING).values() if not below.isdisjoint(thing.groups)}
    for each in below:
        if groups[each].query:
            test = compiled(groups[each].query, None)
            found.update(key for key, thing in records.of(THING).items() if test(thing))
    return found


def _upward(groups: dict[str, Group], name: str) -> Iterator[str]:
    """A group and those above it; a circle ends."""
    for _ in range(DEEPEST_GROUPS):
        group = groups.get(name)
        if group is None:
            return
        yield name
        name = group.parent
