-- Work that outlives the request which asked for it.
create table jobs (
    id uuid not null,
    -- Which handler runs it: 'import'.
    kind text not null,
    project_id uuid,
    -- What it is about, as people write it.
    name text not null,
    status text not null default 'queued',
    -- Runs begun since it was asked for or since it last got further.
    attempt integer not null default 0,
    max_attempts integer not null,
    -- Not before.
    run_at timestamptz not null,
    -- Held by the run that owns it; a run that stops renewing loses it to another.
    lease uuid,
    lease_until timestamptz,
    cancel_requested boolean not null default false,
    -- What a finished run counted.
    progress jsonb not null default '{}',
    -- Why it failed, or why it is tried again.
    error_code text,
    error text,
    -- Who asked; its rights are the job's.
    user_id uuid,
    actor_name text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    started_at timestamptz,
    finished_at timestamptz,
    constraint jobs_pkey primary key (id),
    constraint jobs_project_id_fkey foreign key (project_id) references projects (id) on delete cascade,
    constraint jobs_user_id_fkey foreign key (user_id) references users (id) on delete set null,
    constraint jobs_status_check check (status in ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    constraint jobs_lease_check check ((status = 'running') = (lease is not null and lease_until is not null)),
    constraint jobs_finished_check check ((status in ('succeeded', 'failed', 'cancelled')) = (finished_at is not null))
);
create index jobs_open_idx on jobs (kind, run_at) where status in ('queued', 'running');
create index jobs_project_id_idx on jobs (project_id, kind, created_at desc, id desc);
create index jobs_finished_idx on jobs (finished_at) where finished_at is not null;
create index jobs_user_id_idx on jobs (user_id);
