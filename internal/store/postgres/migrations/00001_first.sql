-- Numbers of states are those of package verify.

-- +goose Up

-- What never changes of a verification. Rows come in the order of their key; no
-- index here is on a random value. There are no foreign keys on this path: they
-- would lock the client's row with every link.
CREATE TABLE verifications (
    id          bigint      PRIMARY KEY,
    client_id   bigint      NOT NULL,
    segments    smallint    NOT NULL,
    created_at  timestamptz NOT NULL,
    request_id  uuid        NOT NULL,
    session_id  uuid        NOT NULL,
    phone       text        NOT NULL, -- E.164
    country     text        NOT NULL,
    target_url  text        NOT NULL,
    source_addr inet,
    text        text        NOT NULL,
    link        bytea       NOT NULL, -- digest
    link_sealed bytea
);

-- What changes of it, and the message's place in the queue. due_at is when any
-- node may take the message (a lease's end, or a retry's time) and NULL for good
-- once the message is no longer queued; it is the one indexed column that
-- changes, so that clicks and receipts touch no index. Half of each page is
-- left free for the next version of its rows: a link is sent right after it is
-- written, by a transaction that fills the page before anything can be pruned.
CREATE TABLE tracks (
    id           bigint      PRIMARY KEY,
    expires_at   timestamptz NOT NULL,
    due_at       timestamptz,
    node         smallint,
    attempts     smallint    NOT NULL DEFAULT 0,
    link         smallint    NOT NULL DEFAULT 0,
    delivery     smallint    NOT NULL DEFAULT 0,
    match        smallint    NOT NULL DEFAULT 0,
    clicked_at   timestamptz,
    answered_at  timestamptz,
    ended_at     timestamptz,
    receipt_at   timestamptz,
    receipt_code text, -- of the last receipt that moved the delivery
    click_addr   inet,
    browser      bytea, -- digest
    carrier      text,
    reasons      text[],
    vfp          bytea,
    CHECK ((delivery = 0) = (due_at IS NOT NULL))
) WITH (fillfactor = 50);

CREATE INDEX tracks_due ON tracks (due_at) WHERE due_at IS NOT NULL;

-- result 0 is an attempt that has begun and of which no end is known.
CREATE TABLE attempts (
    id          bigint      NOT NULL,
    n           smallint    NOT NULL,
    result      smallint    NOT NULL DEFAULT 0,
    begun_at    timestamptz NOT NULL,
    ended_at    timestamptz,
    gateway     text        NOT NULL,
    code        text,
    provider_id text,
    PRIMARY KEY (id, n)
) WITH (fillfactor = 50);

CREATE TABLE idempotency_keys (
    key             bytea       PRIMARY KEY,
    body            bytea       NOT NULL,
    used_at         timestamptz NOT NULL,
    verification_id bigint      NOT NULL
);

CREATE TABLE clients (
    id            bigint      PRIMARY KEY,
    username      text        NOT NULL UNIQUE,
    password_hash text        NOT NULL,
    business      text        NOT NULL,
    settings      jsonb       NOT NULL,
    disabled      boolean     NOT NULL,
    created_at    timestamptz NOT NULL
);

CREATE TABLE access_tokens (
    id         bigint      PRIMARY KEY,
    digest     bytea       NOT NULL,
    client_id  bigint      NOT NULL REFERENCES clients (id),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);

CREATE INDEX access_tokens_client ON access_tokens (client_id);

CREATE SEQUENCE nodes MINVALUE 0 START 0;

-- +goose Down
DROP SEQUENCE nodes;
DROP TABLE access_tokens, clients, idempotency_keys, attempts, tracks, verifications;
