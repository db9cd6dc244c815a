-- All times are microseconds since 1970 UTC; numbers of states are those of
-- package verify. Every key but a user name's and an idempotency key's grows with
-- time, so that rows are appended and no page is written twice for long.

-- +goose Up

-- The one row counts the nodes handed out.
CREATE TABLE nodes (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    next INTEGER NOT NULL
) STRICT;
INSERT INTO nodes (id, next) VALUES (1, 0);

CREATE TABLE clients (
    id            INTEGER PRIMARY KEY,
    username      TEXT    NOT NULL UNIQUE,
    password_hash TEXT    NOT NULL,
    business      TEXT    NOT NULL,
    settings      TEXT    NOT NULL, -- JSON
    disabled      INTEGER NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE access_tokens (
    id         INTEGER PRIMARY KEY,
    digest     BLOB    NOT NULL,
    client_id  INTEGER NOT NULL REFERENCES clients (id),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER -- NULL while it is valid
) STRICT;
CREATE INDEX access_tokens_valid ON access_tokens (client_id) WHERE revoked_at IS NULL;

-- What never changes of a verification. It is wide, and written once.
CREATE TABLE verifications (
    id          INTEGER PRIMARY KEY,
    client_id   INTEGER NOT NULL REFERENCES clients (id),
    request_id  BLOB    NOT NULL,
    session_id  BLOB    NOT NULL,
    phone       TEXT    NOT NULL, -- E.164
    country     TEXT    NOT NULL,
    target_url  TEXT    NOT NULL,
    source_addr BLOB, -- 4 or 16 bytes
    text        TEXT    NOT NULL,
    segments    INTEGER NOT NULL,
    link        BLOB    NOT NULL, -- digest
    link_sealed BLOB,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT;

-- What changes of it. A message that is queued (delivery = 0) may be claimed by
-- anyone from due_at on; until then it is the node's, where there is one.
CREATE TABLE tracks (
    id           INTEGER PRIMARY KEY, -- the verification's
    link         INTEGER NOT NULL,
    delivery     INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL, -- a copy, for the guards
    node         INTEGER,
    due_at       INTEGER NOT NULL,
    receipt_code TEXT, -- of the last receipt that moved the delivery
    receipt_at   INTEGER,
    clicked_at   INTEGER,
    click_addr   BLOB,
    browser      BLOB, -- digest
    carrier      TEXT,
    answered_at  INTEGER,
    ended_at     INTEGER,
    match        INTEGER,
    reasons      TEXT, -- separated by commas
    vfp          BLOB  -- digest
) STRICT;

-- The outbox: only the messages that are queued are in this index, so that it
-- stays as small as the backlog.
CREATE INDEX tracks_queued ON tracks (due_at) WHERE delivery = 0;

-- One row for each try at sending; result 0 is one that is open.
CREATE TABLE attempts (
    id          INTEGER NOT NULL, -- the verification's
    n           INTEGER NOT NULL,
    gateway     TEXT    NOT NULL,
    begun_at    INTEGER NOT NULL,
    ended_at    INTEGER,
    result      INTEGER NOT NULL,
    code        TEXT,
    provider_id TEXT,
    PRIMARY KEY (id, n)
) STRICT, WITHOUT ROWID;

-- Only requests that come with an Idempotency-Key touch this table.
CREATE TABLE idempotency_keys (
    key             BLOB    PRIMARY KEY, -- digest
    body            BLOB    NOT NULL,    -- digest
    verification_id INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down

DROP TABLE idempotency_keys;
DROP TABLE attempts;
DROP TABLE tracks;
DROP TABLE verifications;
DROP TABLE access_tokens;
DROP TABLE clients;
DROP TABLE nodes;
