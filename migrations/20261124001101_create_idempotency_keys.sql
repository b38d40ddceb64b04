-- Answers kept for a day, so that a client that lost one can ask again with the same key.
create table idempotency_keys (
    user_id uuid not null references users (id) on delete cascade,
    key text not null,
    -- Keyed hash of method, path and body.
    request bytea not null,
    created_at timestamptz not null,
    -- Null while the first request is running.
    status smallint,
    location text,
    body bytea,
    primary key (user_id, key)
);

create index idempotency_keys_created_at on idempotency_keys (created_at);
