"""Load: the fleets of a scenario as Locust users. Nobody else imports Locust or gevent."""

from pathlib import Path


def locustfile_path() -> Path:
    """The file that `locust -f` takes."""
    return Path(__file__).with_name("locustfile.py")
