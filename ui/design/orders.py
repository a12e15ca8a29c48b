"""What somebody does in the drawing, as changes of the text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from devices_models.catalogue import DEVICES
from scenarios.format.parts import Parts, parts_of
from scenarios.format.source import Keys
from scenarios.wiring.vocabulary import Vocabulary
from ui.design import edits
from ui.design.checking import Checked
from ui.design.document import Document
from ui.design.edits import EditError
from ui.design.overriding import Target, put
from ui.design.renaming import renamed
from ui.design.topology import hosted_kinds

FIRST_METRO: Final = "frankfurt"
HOSTS: Final = ("mqtt_broker", "gateway")
MOST_ORDERS: Final = 500

Change = Callable[[str], str]


class Order(msgspec.Struct, frozen=True):
    """One thing done: `do` is what; the other fields are of some of them only."""

    do: str
    section: str = ""
    kind: str = ""
    site: str = ""
    id: str = ""
    to: str = ""
    name: str = ""
    places: dict[str, tuple[float, float]] = {}
    text: str | None = None


def read_orders(written: Any) -> list[Order]:
    """The orders that the browser sent; what is none is left out."""
    found = []
    for each in written[:MOST_ORDERS] if isinstance(written, list) else ():
        try:
            found.append(msgspec.convert(each, Order))
        except msgspec.ValidationError:
            continue
    return found


def carry_out(document: Document, checked: Checked, order: Order, target: Target) -> str:
    """Do it; returns the name of what is selected then. Raises EditError with one sentence."""
    match order.do:
        case "undo":
            document.undo()
        case "redo":
            document.redo()
        case "move":
            document.move(order.places)
        case "tidy":
            document.move_back()
        case "add":
            return _add(document, checked, order)
        case "connect":
            _connect(document, checked, order, target)
        case "delete":
            document.apply(deletion(checked, order.section, order.id))
        case "rename":
            section = order.section
            document.apply(lambda text: renamed(text, section, (section, order.id), order.name.strip()))
            if order.id in document.positions:
                document.positions = {
                    (order.name.strip() if name == order.id else name): place
                    for name, place in document.positions.items()
                }
            return order.name.strip()
        case _:
            raise EditError(f"the drawing knows no {order.do[:40]!r}")
    return order.id


def _add(document: Document, checked: Checked, order: Order) -> str:
    parts = parts_of(checked.seen(""))
    name = free_name(checked.data, "site" if order.section == "sites" else order.kind)
    if order.section == "sites":
        value: dict[str, Any] = {"metro": _free_metro(parts)}
    elif order.section == "nodes":
        value = _new_node(parts, order)
    else:
        value = _new_fleet(parts, order)
    document.apply(
        *_with_site(parts, order), lambda text: edits.set_value(text, (order.section, name), value)
    )
    if order.places:
        document.positions = {**document.positions, name: next(iter(order.places.values()))}
    return name


def free_name(data: Mapping[str, Any], kind: str) -> str:
    """The kind's name, or that with the first number that is free."""
    taken = {name for section in ("sites", "fleets", "nodes") for name in _named(data, section)}
    numbered = (kind if number == 1 else f"{kind}_{number}" for number in range(1, len(taken) + 3))
    return next(name for name in numbered if name not in taken)


def _named(data: Mapping[str, Any], section: str) -> list[str]:
    written = data.get(section)
    return list(written) if isinstance(written, Mapping) else []


def _free_metro(parts: Parts) -> str:
    taken = {site.metro for site in parts.sites.values()}
    candidates = (FIRST_METRO, "ashburn", "singapore", "sydney", *Vocabulary().metros)
    return next((name for name in candidates if name not in taken), FIRST_METRO)


def _with_site(parts: Parts, order: Order) -> list[Change]:
    """What stands somewhere needs a site: the first one is made with it."""
    if order.section == "sites" or parts.sites:
        return []
    return [lambda text: edits.set_value(text, ("sites", "site"), {"metro": FIRST_METRO})]


def _site(parts: Parts, order: Order) -> str:
    return order.site if order.site in parts.sites else next(iter(parts.sites), "site")


def _new_node(parts: Parts, order: Order) -> dict[str, Any]:
    site = _site(parts, order)
    value: dict[str, Any] = {"kind": order.kind}
    near = sorted(parts.nodes, key=lambda name: parts.site_of(name) != site)
    host = next((name for kind in HOSTS for name in near if parts.nodes[name].kind == kind), None)
    if order.to in parts.nodes and parts.nodes[order.to].kind in HOSTS:
        host = order.to
    if order.kind in hosted_kinds() and host is not None:
        value["runs_on"] = host
    else:
        value["at"] = site
    for key in sorted(Vocabulary().kinds[order.kind].names_nodes) if order.kind in Vocabulary().kinds else ():
        named = next((name for name, node in parts.nodes.items() if node.kind == key), key)
        value[key] = named
    return value


def _new_fleet(parts: Parts, order: Order) -> dict[str, Any]:
    device = DEVICES.get(order.kind)
    if device is None:
        raise EditError(f"there is no device type {order.kind[:60]!r}")
    site = _site(parts, order)
    value: dict[str, Any] = {"device": order.kind, "at": site}
    has_scene = site in parts.sites and parts.sites[site].scene is not None
    value |= {"placed_by": "scene"} if has_scene and device.placement is not None else {"count": 10}
    here = [name for name in parts.nodes if parts.site_of(name) == site]
    hosts = [name for kind in reversed(HOSTS) for name in here if parts.nodes[name].kind == kind]
    is_host = order.to in parts.nodes and parts.nodes[order.to].kind in HOSTS
    chosen = order.to if is_host else next(iter(hosts), None)
    if chosen is not None:
        value["via"] = chosen
    return value


def _connect(document: Document, checked: Checked, order: Order, target: Target) -> None:
    parts = parts_of(checked.seen(target.shown))
    a, b = order.id, order.to
    if a in parts.fleets and b in parts.fleets:
        raise EditError("fleets are joined through a node; connect each with the node")
    if a in parts.fleets or b in parts.fleets:
        fleet, node = (a, b) if a in parts.fleets else (b, a)
        document.apply(put(checked, target, ("fleets", fleet, "via"), node))
        return
    if a not in parts.nodes or b not in parts.nodes or a == b:
        raise EditError("a link joins two different nodes")
    if any(set(link.between) == {a, b} for link in parts.links.values()):
        raise EditError(f"'{a}' and '{b}' are linked already")
    path = "wan" if parts.site_of(a) != parts.site_of(b) else "direct"
    document.apply(lambda text: edits.append(text, ("links",), {"between": [a, b], "path": path}))


def deletion(checked: Checked, section: str, name: str) -> Change:
    """Take one part out of the text; a link is named by its index."""
    return deletions(checked, section, [name])


def deletions(checked: Checked, section: str, names: Sequence[str]) -> Change:
    """Take parts out of the text, with the links that end at them; other mentions of them stay."""
    if section == "links":
        places: list[Keys] = [("links", int(name)) for name in sorted(names, key=int, reverse=True)]
    else:
        if not set(names) <= set(_named(checked.data, section)):
            raise EditError("this part belongs to the variant; remove it in the YAML")
        ended = _links_of(checked, set(names)) if section == "nodes" else []
        places = [*(("links", index) for index in reversed(ended)), *((section, name) for name in names)]

    def change(text: str) -> str:
        for place in places:
            text = edits.remove(text, place)
        return text

    return change


def _links_of(checked: Checked, names: set[str]) -> list[int]:
    links = checked.data.get("links")
    return [
        index
        for index, link in enumerate(links if isinstance(links, list) else ())
        if isinstance(link, Mapping)
        and isinstance(link.get("between"), list)
        and names & set(map(str, link["between"]))
    ]
