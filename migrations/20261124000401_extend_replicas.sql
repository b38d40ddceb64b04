-- What healing and rollouts need to survive a restart of the server.

alter table replicas
    -- Failures in a row without ten healthy minutes between them; decides the next back-off.
    add column if not exists crash_streak integer not null default 0,
    -- When it entered its phase; draining counts its grace from here.
    add column if not exists phase_since timestamptz not null default now();

alter table revisions
    -- The revision it replaces.
    add column if not exists previous bigint;
