"""The tables of the journal as numbered migrations: each brings a file from one version to the next."""

from __future__ import annotations

import sqlite3

from app.journal.recording import BREAK, is_replicated

MIGRATIONS = (
    """
    CREATE TABLE jobs (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        workflow TEXT NOT NULL,
        accepted REAL NOT NULL,
        changed REAL NOT NULL,
        state TEXT NOT NULL,
        told INTEGER NOT NULL,
        version INTEGER NOT NULL,
        server TEXT NOT NULL,
        prompt TEXT NOT NULL,
        wish BLOB NOT NULL,
        record BLOB NOT NULL
    ) STRICT;
    CREATE INDEX jobs_unfinished ON jobs (number) WHERE told = 0;
    CREATE INDEX jobs_by_owner ON jobs (owner, number);
    CREATE TABLE transitions (
        number INTEGER PRIMARY KEY,
        job TEXT NOT NULL,
        at REAL NOT NULL,
        version INTEGER NOT NULL,
        state TEXT NOT NULL,
        server TEXT NOT NULL,
        prompt TEXT NOT NULL,
        cause TEXT NOT NULL
    ) STRICT;
    CREATE INDEX transitions_by_job ON transitions (job, number);
    CREATE TABLE requests (
        number INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        verb TEXT NOT NULL,
        job TEXT NOT NULL
    ) STRICT;
    """,
    """
    CREATE TABLE preferences (
        owner TEXT NOT NULL,
        workflow TEXT NOT NULL,
        told BLOB NOT NULL,
        PRIMARY KEY (owner, workflow)
    ) STRICT;
    """,
    """
    CREATE INDEX jobs_by_state ON jobs (state, number);
    """,
    """
    CREATE TABLE runs (
        number INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        job TEXT NOT NULL,
        person TEXT NOT NULL,
        workflow TEXT NOT NULL,
        server TEXT NOT NULL,
        work REAL NOT NULL,
        seconds REAL NOT NULL,
        loading INTEGER NOT NULL,
        completed INTEGER NOT NULL,
        waited REAL,
        expected_wait REAL,
        overtaken INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX runs_by_person ON runs (person, at);
    """,
    """
    CREATE TABLE servers (
        name TEXT PRIMARY KEY,
        drained INTEGER NOT NULL,
        at REAL NOT NULL,
        person TEXT NOT NULL
    ) STRICT;
    ALTER TABLE runs ADD COLUMN guild TEXT NOT NULL DEFAULT '';
    ALTER TABLE runs ADD COLUMN channel TEXT NOT NULL DEFAULT '';
    CREATE INDEX runs_by_time ON runs (at);
    CREATE TABLE bans (
        guild TEXT NOT NULL,
        banned TEXT NOT NULL,
        id TEXT NOT NULL,
        reason TEXT NOT NULL,
        until REAL,
        PRIMARY KEY (guild, banned, id)
    ) STRICT;
    CREATE TABLE guild_limits (
        guild TEXT PRIMARY KEY,
        jobs INTEGER NOT NULL,
        seconds INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE audit (
        number INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        guild TEXT NOT NULL,
        person TEXT NOT NULL,
        action TEXT NOT NULL,
        details TEXT NOT NULL
    ) STRICT;
    """,
    """
    ALTER TABLE jobs ADD COLUMN lead TEXT NOT NULL DEFAULT '';
    CREATE TABLE clients (
        file TEXT PRIMARY KEY,
        id TEXT NOT NULL
    ) STRICT;
    """,
    """
    CREATE TABLE payments (
        job TEXT PRIMARY KEY,
        at REAL NOT NULL,
        person TEXT NOT NULL,
        amount INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX payments_by_time ON payments (at);
    CREATE TABLE served (
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        seconds REAL NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (kind, name)
    ) STRICT;
    CREATE INDEX served_by_time ON served (at);
    CREATE TABLE on_periods (
        number INTEGER PRIMARY KEY,
        server TEXT NOT NULL,
        starter TEXT NOT NULL,
        started REAL NOT NULL,
        answered REAL,
        stopping REAL,
        stopped REAL
    ) STRICT;
    CREATE INDEX on_periods_by_server ON on_periods (server, number);
    ALTER TABLE jobs ADD COLUMN parent TEXT NOT NULL DEFAULT '';
    CREATE INDEX jobs_by_parent ON jobs (parent, number) WHERE parent > '';
    """,
    """
    CREATE TABLE drafts (
        id TEXT PRIMARY KEY,
        person TEXT NOT NULL,
        changed REAL NOT NULL,
        content BLOB NOT NULL
    ) STRICT;
    CREATE INDEX drafts_by_person ON drafts (person, changed);
    CREATE INDEX drafts_by_time ON drafts (changed);
    -- With the state, a page of jobs in a rare state reads only the index of all others.
    DROP INDEX jobs_by_owner;
    CREATE INDEX jobs_by_owner ON jobs (owner, number, state);
    CREATE TABLE notices (
        kind TEXT NOT NULL,
        subject TEXT NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (kind, subject)
    ) STRICT;
    """,
    """
    CREATE TABLE gallery (
        number INTEGER PRIMARY KEY,
        owner TEXT NOT NULL,
        guild TEXT NOT NULL,
        channel TEXT NOT NULL,
        workflow TEXT NOT NULL,
        model TEXT NOT NULL,
        ended REAL,
        hidden INTEGER NOT NULL DEFAULT 0,
        width INTEGER,
        height INTEGER,
        shown TEXT NOT NULL DEFAULT ''
    ) STRICT;
    CREATE INDEX gallery_by_message ON gallery (shown) WHERE shown <> '';
    CREATE INDEX gallery_by_owner ON gallery (owner, number);
    CREATE INDEX gallery_without_thumbnail ON gallery (number) WHERE width IS NULL;
    CREATE VIRTUAL TABLE gallery_prompts USING fts5 (prompt, tokenize = "unicode61 remove_diacritics 2");
    CREATE TRIGGER gallery_follows_jobs AFTER DELETE ON jobs BEGIN
        DELETE FROM gallery WHERE number = old.number;
        DELETE FROM gallery_prompts WHERE rowid = old.number;
    END;
    -- Jobs with lower numbers are not in the gallery yet.
    CREATE TABLE gallery_filled (
        number INTEGER PRIMARY KEY
    ) STRICT;
    INSERT INTO gallery_filled (number) SELECT ifnull(max(number), 0) + 1 FROM jobs;
    """,
)
"""A released migration is never changed; a new version is a new entry. Times are seconds since 1970."""

NEWEST = len(MIGRATIONS)


def migrate(database: sqlite3.Connection) -> None:
    """Bring a file to the newest version, in one transaction. `user_version` holds the version of a file."""
    version = version_of(database)
    if version >= NEWEST:
        return
    script = "".join(MIGRATIONS[version:])
    if is_replicated(database):
        # Copies of an earlier version cannot follow from here on.
        script += BREAK
    database.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {NEWEST}; COMMIT;")


def version_of(database: sqlite3.Connection) -> int:
    """The version of a file; 0 for an empty one."""
    row: tuple[int] = database.execute("PRAGMA user_version").fetchone()
    return row[0]
