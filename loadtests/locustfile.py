"""The locustfile of Windtunnel: a scenario's fleets on a real broker.

locust -f .../loadtests/locustfile.py --scenario car_park_fire --host mqtt://127.0.0.1:1883
"""

from __future__ import annotations

import signal
import sys
from typing import Any, Final

import gevent
import locust
from locust.env import Environment

from loadtests.fleet_user import FleetUser
from loadtests.plan import LINKS, SPEAKERS, LoadPlan, plan_of
from loadtests.reporting import report
from loadtests.roster import Roster, roster_of
from twin.errors import InputError, MissingEnvironmentError
from twin.live.probe import probe_each

INVALID, MISSING = 2, 4
events: Any = locust.events


class ScenarioFleet(FleetUser):
    """The fleets of the scenario that the options name."""


OPTIONS: Final[tuple[tuple[str, str, Any, str], ...]] = (
    ("--scenario", "WINDTUNNEL_SCENARIO", "", "a *.scenario.yaml file, or the name of a shipped scenario"),
    ("--variant", "WINDTUNNEL_VARIANT", "", "default: the first variant"),
    ("--devices", "WINDTUNNEL_DEVICES", 0, "devices of a user (0: as many as the scenario has)"),
    ("--sharing", "WINDTUNNEL_SHARING", 1, "so many users share the devices of one"),
    ("--ramp", "WINDTUNNEL_RAMP", "", "spread the connects over this time, such as '30 s'"),
    ("--publish-for", "WINDTUNNEL_FOR", "", "publish so long, then end; empty: until stopped"),
    ("--links", "WINDTUNNEL_LINKS", "none", f"what delays on the way to the broker: {', '.join(LINKS)}"),
    ("--client-prefix", "WINDTUNNEL_PREFIX", "load-", "before the names of devices in client ids"),
    ("--convention", "WINDTUNNEL_CONVENTION", "", "topics:TEMPLATE: publish under the topics of your system"),
    ("--load-seed", "WINDTUNNEL_SEED", 1, "of phases and random arrivals"),
    ("--ca", "WINDTUNNEL_CA", "", "authority of the broker's certificate"),
    ("--cert", "WINDTUNNEL_CERT", "", "our certificate"),
    ("--key", "WINDTUNNEL_KEY", "", "its key"),
)


def add_options(parser: Any, **_: Any) -> None:
    """Our options; each can be given in the environment too."""
    group = parser.add_argument_group("Windtunnel")
    for option, variable, default, text in OPTIONS:
        group.add_argument(option, env_var=variable, default=default, type=type(default), help=text)
    group.add_argument(
        "--no-delivery",
        env_var="WINDTUNNEL_NO_DELIVERY",
        action="store_true",
        help="devices do not subscribe to what they publish: no delivery latency, no losses",
    )


def prepare(environment: Environment, **_: Any) -> None:
    """Check the options before anything starts, and begin to report."""

    def made() -> tuple[LoadPlan, Roster]:
        plan = plan_of(environment.parsed_options, environment.host)
        return plan, roster_of(plan.variant, plan.device_count, plan.seed)

    reporter = report(environment, made)
    if environment.host is None:  # the web asks for it
        return
    try:
        reporter.prepare()
        probe_each(reporter.plan.broker, SPEAKERS)
    except (InputError, MissingEnvironmentError) as error:
        print(f"windtunnel: {error}", file=sys.stderr, flush=True)
        sys.exit(MISSING if isinstance(error, MissingEnvironmentError) else INVALID)


def calm(**_: Any) -> None:
    """Let Ctrl-C reach Locust's own waiting, and not cut short whatever a fleet is just doing."""
    waiting = gevent.getcurrent()
    gevent.signal_handler(signal.SIGINT, lambda: waiting.throw(KeyboardInterrupt))


events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(prepare)
events.init.add_listener(calm)
