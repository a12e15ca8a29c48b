"""What `--help` shows below the options of the commands whose module has no examples of its own."""

from __future__ import annotations

from typing import Final

EXAMPLES: Final = {
    "run": """\
examples:
  windtunnel run car_park_fire                                 every variant of a shipped scenario
  windtunnel run my_site.scenario.yaml --variant usa --variant near
  windtunnel run my_site.scenario.yaml --replications 5        exactly five runs a variant, for a first look
  windtunnel run my_site.scenario.yaml --seed 7 --replications 1   one run again, the same to the bit
  windtunnel run my_site.scenario.yaml --json --quiet          for a script

Without --replications it makes as many runs as it takes to decide; PASS takes at least 18.
The last line is the path of the report, one HTML file that can be mailed.

exit codes: 0 all met, 1 one failed, 2 invalid input, 3 none failed and one is inconclusive,
            130 after Ctrl-C: what was measured is shown and kept
""",
    "compare": """\
examples:
  windtunnel compare my_site.scenario.yaml usa near --replications 5
  windtunnel compare latest usa near                           from a stored run; simulates nothing

Both variants have the same seeds, so a small difference shows with few runs. Each line is the mean
difference, first minus second, with its 95 % interval.
""",
    "demo": """\
examples:
  windtunnel demo                          as many runs as it takes, less than a minute
  windtunnel demo --replications 1         a first look, in seconds

Exit code 0 if every verdict is the one that its file expects.
""",
    "validate": """\
examples:
  windtunnel validate my_site.scenario.yaml
  windtunnel validate a.scenario.yaml b.scenario.yaml --format github   marks in a pull request

Each error has a code; `windtunnel explain E014` says more. Exit code 0 valid, 2 not.
""",
    "resolve": """\
examples:
  windtunnel resolve my_site.scenario.yaml                     with every default written out
  windtunnel resolve my_site.scenario.yaml --variant near
""",
    "schema": """\
examples:
  windtunnel schema --write scenario.schema.json

Then, as the first line of a scenario, for editors with the YAML language server:
  # yaml-language-server: $schema=scenario.schema.json
""",
    "explain": """\
examples:
  windtunnel explain                       every word there is: devices, node kinds, links, faults, codes
  windtunnel explain lte                   what a link does, and where its figures come from
  windtunnel explain smoke_detector        what a device does, and its options
  windtunnel explain E014                  what an error means, and how to mend it
""",
    "new": """\
examples:
  windtunnel new my_site                                       my_site.scenario.yaml, a small system
  windtunnel new garage --scene carpark --levels 4 --bays 60   and garage.geojson, its building

Nothing that exists is written over.
""",
    "runs": """\
examples:
  windtunnel runs list                     newest first
  windtunnel runs show latest              the table of a run again
  windtunnel runs list --json              for a script
  windtunnel runs rm 20261127-10           the one whose name begins so
""",
    "report": """\
examples:
  windtunnel report                                            the page of the newest run, one HTML file
  windtunnel report latest --format markdown --out -           for a CI summary
  windtunnel report latest --format junit --out junit.xml      for a CI server
""",
    "link": """\
examples:
  windtunnel link show thread --hops 2
  windtunnel link show wan:singapore-ashburn --tls 1.3 --access gpon
  windtunnel link record broker.example --port 8883 --out trace.csv   then in a scenario: trace: trace.csv
""",
    "topology": """\
examples:
  windtunnel topology show my_site.scenario.yaml
  windtunnel topology export my_site.scenario.yaml --out my_site.mmd    Mermaid, for a README
  windtunnel topology import network.graphml --out network.json
""",
    "device": """\
examples:
  windtunnel serve                                             in another terminal
  windtunnel device add gate-1 --type boom_gate                its files, and a line to try them with
  windtunnel device rotate gate-1                              a further certificate before the first ends
  windtunnel device revoke gate-1                              stolen or scrapped: none holds any longer
""",
    "token": """\
examples:
  windtunnel token new --role viewer --name dashboard          one who reads; the token is printed once
  windtunnel token new --role device --thing gate-1            for the shadows of one thing
  windtunnel token list
  windtunnel token revoke dashboard

The first one, of an admin, is in admin.token in the service's folder.
""",
    "broker": """\
examples:
  windtunnel broker check embedded --quick                     the one that comes along, in seconds
  windtunnel broker check mqtt://broker.example                one that runs, in both versions
""",
    "control": """\
examples:
  windtunnel watch alarm_drill                                 in another terminal, then:
  windtunnel control latest cut wan_a                          a link; also a fleet, a site or a node
  windtunnel control latest heal                               all that was cut or degraded
  windtunnel control latest kill gateway_a
  windtunnel control latest begin "{fault: surge, link: wan_a, factor: 3, for: 30 s}"
  windtunnel control latest speed 5
""",
    "doctor": """\
examples:
  windtunnel doctor                        a line for each thing; what is missing, and how to get it
  windtunnel doctor --json                 for a script
""",
}
