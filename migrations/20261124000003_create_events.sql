-- The event log: every mutation, decision and refusal, one append-only row each.
--
-- Order: a plain sequence is not commit-ordered (a row with a lower number may become visible
-- later). Each row carries its transaction id; a reader takes rows whose transaction id is below
-- pg_snapshot_xmin(pg_current_snapshot()), ordered by (txid, seq). Every row below that mark is
-- final, so nothing is ever skipped, and writers need no lock.
create table events (
    seq bigint generated always as identity,
    txid bigint not null default (pg_current_xact_id()::text::bigint),
    id uuid not null,
    created_at timestamptz not null,
    actor_kind text not null,
    actor_id uuid,
    actor_name text not null,
    -- 'deployment.create', 'replica.restart', 'tag.push', …
    action text not null,
    target_kind text not null,
    target_id uuid,
    target_name text not null,
    project_id uuid,
    environment_id uuid,
    -- The deployment it concerns, for the pages that follow one.
    deployment_id uuid,
    outcome text not null,
    -- One sentence that says what happened and why.
    message text not null,
    -- Inputs, formula and result of a decision; before and after of a change.
    detail jsonb not null default '{}',
    channel text not null,
    address inet,
    request_id text,
    constraint events_pkey primary key (created_at, seq),
    constraint events_outcome_check check (outcome in ('success', 'failure', 'denied'))
) partition by range (created_at);

create index events_position_idx on events (txid, seq);
create index events_project_idx on events (project_id, created_at desc, seq desc);
create index events_deployment_idx on events (deployment_id, created_at desc, seq desc) where deployment_id is not null;
create index events_actor_idx on events (actor_name, created_at desc, seq desc);
create index events_action_idx on events (action, created_at desc, seq desc);

create table events_default partition of events default;

-- Makes the monthly partition that holds `at`, if it is missing.
create function events_ensure_partition(at timestamptz) returns void language plpgsql as $$
declare
    month_start timestamptz := date_trunc('month', at at time zone 'UTC') at time zone 'UTC';
    month_end timestamptz := (date_trunc('month', at at time zone 'UTC') + interval '1 month') at time zone 'UTC';
    name text := 'events_' || to_char(at at time zone 'UTC', 'YYYYMM');
begin
    if to_regclass(name) is null then
        execute format('create table %I partition of events for values from (%L) to (%L)', name, month_start, month_end);
    end if;
end $$;

create function events_refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the event log is append-only';
end $$;
create trigger events_append_only before update or delete on events
    for each row execute function events_refuse_change();
