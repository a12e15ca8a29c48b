"""What is PostgreSQL's own; the promises that all stores keep are in test_store_contract.py."""

import psycopg
import pytest
from counting import Counter, Counters

from twin.errors import InputError, MissingEnvironmentError
from twin.service.backup import KEPT_SNAPSHOTS
from twin.service.postgres_store import PostgresHistory, PostgresStore
from twin.service.sql_store import Keeping
from twin.state.journal import BrokenStoreError, Retention, StoreError, load, state_at
from twin.state.records import Records, Transaction

pytestmark = pytest.mark.live
KINDS = Counters().kinds


def put(store, records, count):
    transaction = Transaction(records, float(count))
    transaction.put("counter", "a", Counter(thing="a", count=count))
    transaction.publish("x", count)
    store.commit([transaction])


def end_sessions(url):
    """As a failure of the network or the server would."""
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_two_services_do_not_write_one_store(postgres_url):
    """The second learns that it is in use."""
    store = PostgresStore(postgres_url)
    with pytest.raises(InputError, match="is in use: another process writes it"):
        PostgresStore(postgres_url)
    store.close()
    PostgresStore(postgres_url).close()


def test_a_lost_connection_is_made_anew(postgres_url):
    """Nothing of the commit that met it is kept, which is said; the next one is."""
    store, records = PostgresStore(postgres_url), Records()
    put(store, records, 1)
    end_sessions(postgres_url)
    with pytest.raises(StoreError, match=r"connection to PostgreSQL was lost.*nothing was accepted"):
        put(store, records, 2)
    put(store, records, 3)

    assert load(store, KINDS).get("counter", "a").count == 3
    assert store.bounds().last == 2
    store.close()


def test_a_commit_whose_answer_was_lost_counts_as_kept(postgres_url):
    """The database is asked, not guessed about."""
    store, records = PostgresStore(postgres_url), Records()
    put(store, records, 1)
    whole = store.connection

    class Gone:
        """Loses the answer to a commit."""

        closed, broken = False, True

        def transaction(self):
            return Losing(whole.transaction())

        def cursor(self):
            return whole.cursor()

        def close(self):
            whole.close()

    class Losing:
        def __init__(self, inner):
            self.inner = inner

        def __enter__(self):
            return self.inner.__enter__()

        def __exit__(self, *error):
            self.inner.__exit__(*error)
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    store.connection = Gone()
    put(store, records, 2)

    assert load(store, KINDS).get("counter", "a").count == 2
    put(store, records, 3)
    assert store.bounds().last == 3
    store.close()


def test_a_store_that_somebody_else_changed_is_left_alone(postgres_url):
    """Memory and database would disagree: only a restart helps."""
    store, records = PostgresStore(postgres_url), Records()
    put(store, records, 1)
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute("UPDATE windtunnel.about SET value = value + 5 WHERE name = 'commits'")
    end_sessions(postgres_url)

    with pytest.raises(BrokenStoreError, match="restart the service"):
        put(store, records, 2)
    with pytest.raises(BrokenStoreError):
        put(store, records, 3)
    store.close()


def test_snapshots_and_retention_work_as_in_a_file(postgres_url):
    """Old ones go, and so does the journal before the newest."""
    keeping = Keeping(Retention(entries=5), snapshot_entries=10, snapshot_records=0)
    store, records = PostgresStore(postgres_url, keeping), Records()
    for count in range(100):
        put(store, records, count)
        store.tend()

    assert len(store.snapshots()) == KEPT_SNAPSHOTS
    assert store.bounds().first > 80
    newest = store.snapshots()[-1].sequence
    assert state_at(store, KINDS, newest).get("counter", "a").count == newest - 1
    store.close()


def test_an_empty_database_is_no_history(postgres_url):
    """Reading makes nothing."""
    with pytest.raises(InputError, match="no store of windtunnel"):
        PostgresHistory(postgres_url)
    PostgresStore(postgres_url).close()
    history = PostgresHistory(postgres_url)
    assert history.bounds() == (1, 0, 0.0)
    history.close()


def test_a_server_that_is_not_there_is_named():
    """With the reason, in one line."""
    with pytest.raises(MissingEnvironmentError, match="PostgreSQL cannot be reached"):
        PostgresStore("postgresql://windtunnel@127.0.0.1:1/x")
    with pytest.raises(InputError, match=r"no address of PostgreSQL: .*sslmoed"):
        PostgresStore("postgresql://127.0.0.1/x?sslmoed=require")


def test_a_store_of_a_newer_version_is_refused(postgres_url):
    """Rather than written in a way that it would not understand."""
    PostgresStore(postgres_url).close()
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute("UPDATE windtunnel.about SET value = 99 WHERE name = 'schema_version'")

    with pytest.raises(InputError, match="schema version 99"):
        PostgresStore(postgres_url)
