-- What the keeper of the store did: collections, sweeps, scrubs, checks, and checks of the quotas.
create table collection_runs (
    id uuid not null,
    kind text not null,
    cause text not null,
    actor_name text not null,
    -- When it was asked for, and when somebody took it up.
    created_at timestamptz not null,
    started_at timestamptz,
    -- Moves while the run lives; one that stopped moving was interrupted.
    heartbeat_at timestamptz not null,
    finished_at timestamptz,
    outcome text,
    -- Removed or looked at.
    uploads bigint not null default 0,
    links bigint not null default 0,
    blobs bigint not null default 0,
    bytes bigint not null default 0,
    -- What was found wrong.
    faults bigint not null default 0,
    -- A scrub continues after this digest.
    position text collate "C" not null default '',
    message text not null default '',
    constraint collection_runs_pkey primary key (id),
    constraint collection_runs_kind_check check (kind in ('collection', 'sweep', 'scrub', 'check', 'quota')),
    constraint collection_runs_cause_check check (cause in ('schedule', 'request', 'command')),
    constraint collection_runs_outcome_check check (outcome in ('success', 'failure')),
    constraint collection_runs_finished_check check ((finished_at is null) = (outcome is null))
);
create index collection_runs_created_at_idx on collection_runs (created_at desc, id desc);
create index collection_runs_kind_idx on collection_runs (kind, finished_at desc);
-- One request of a kind waits at a time.
create unique index collection_runs_waiting_key on collection_runs (kind) where started_at is null;
-- One scrub at a time.
create unique index collection_runs_scrub_key on collection_runs (kind) where kind = 'scrub' and finished_at is null;
