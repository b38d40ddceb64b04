-- Retention: the rules of a project, plans of what they would remove, and runs that applied one.

create table retention_policies (
    project_id uuid not null,
    -- Rules in their order (registry::retention::RuleText).
    rules jsonb not null,
    schedule text not null default 'off',
    -- Hour of the day, UTC.
    hour smallint not null default 3,
    -- 0 is Monday; only for a weekly schedule.
    weekday smallint not null default 0,
    -- Somebody confirmed that these rules may leave a repository without any tag.
    accepts_empty boolean not null default false,
    -- Raised by every change; plans of an older generation are void.
    generation bigint not null,
    next_run_at timestamptz,
    updated_by text not null,
    updated_at timestamptz not null,
    constraint retention_policies_pkey primary key (project_id),
    constraint retention_policies_project_id_fkey foreign key (project_id) references projects (id) on delete cascade,
    constraint retention_policies_schedule_check check (schedule in ('off', 'daily', 'weekly')),
    constraint retention_policies_hour_check check (hour between 0 and 23),
    constraint retention_policies_weekday_check check (weekday between 0 and 6)
);
create index retention_policies_next_run_at_idx on retention_policies (next_run_at) where next_run_at is not null;

create table retention_plans (
    id uuid not null,
    project_id uuid not null,
    generation bigint not null,
    -- The rules it was made from; reasons name them by number.
    rules jsonb not null,
    created_by text not null,
    created_at timestamptz not null,
    -- It can be applied until then.
    expires_at timestamptz not null,
    -- False while it is being written; a crash leaves it so, and it is cleared.
    ready boolean not null default false,
    kept_tags bigint not null default 0,
    removed_tags bigint not null default 0,
    kept_images bigint not null default 0,
    removed_images bigint not null default 0,
    -- Repositories in which some rule removes something.
    repositories bigint not null default 0,
    -- Repositories of the project that no removing rule covers.
    untouched bigint not null default 0,
    -- Repositories that would be left without any tag.
    emptied bigint not null default 0,
    -- Bytes of blobs that nothing else needs.
    freed_bytes bigint not null default 0,
    constraint retention_plans_pkey primary key (id),
    constraint retention_plans_project_id_fkey foreign key (project_id) references projects (id) on delete cascade
);
create index retention_plans_project_id_idx on retention_plans (project_id, created_at);

create table retention_items (
    plan_id uuid not null,
    -- What must go first comes first: an index before its children, a subject before its referrers.
    position bigint not null,
    -- No foreign keys: the report outlives what was removed.
    repository_id uuid not null,
    repository text collate "C" not null,
    -- Null: the image itself.
    tag text collate "C",
    manifest_id uuid not null,
    digest text collate "C" not null,
    size bigint not null,
    pushed_at timestamptz not null,
    pulled_at timestamptz,
    removes boolean not null,
    -- Why (registry::retention::Reason).
    reason jsonb not null,
    -- What a run did with it; null: nothing yet.
    outcome text,
    -- Why it was skipped (registry::retention::Skip).
    skip jsonb,
    constraint retention_items_pkey primary key (plan_id, position),
    constraint retention_items_plan_id_fkey foreign key (plan_id) references retention_plans (id) on delete cascade,
    constraint retention_items_outcome_check check (outcome in ('removed', 'skipped'))
);
create index retention_items_open_idx on retention_items (plan_id, position) where removes and outcome is null;
create index retention_items_removes_idx on retention_items (plan_id, removes, position);
create index retention_items_outcome_idx on retention_items (plan_id, outcome, position) where outcome is not null;
create index retention_items_manifest_idx on retention_items (plan_id, manifest_id) where tag is null and removes;

create table retention_runs (
    id uuid not null,
    project_id uuid not null,
    -- Null until a scheduled run has made its plan.
    plan_id uuid,
    trigger text not null,
    status text not null,
    started_by text not null,
    -- Why it was refused or stopped; empty otherwise.
    message text not null default '',
    -- Tags and images that the plan removes.
    total bigint not null default 0,
    removed_tags bigint not null default 0,
    removed_images bigint not null default 0,
    skipped bigint not null default 0,
    -- Bytes of blobs that nothing needs any more.
    freed_bytes bigint not null default 0,
    created_at timestamptz not null,
    started_at timestamptz,
    finished_at timestamptz,
    constraint retention_runs_pkey primary key (id),
    constraint retention_runs_plan_id_key unique (plan_id),
    constraint retention_runs_project_id_fkey foreign key (project_id) references projects (id) on delete cascade,
    constraint retention_runs_plan_id_fkey foreign key (plan_id) references retention_plans (id) on delete cascade,
    constraint retention_runs_trigger_check check (trigger in ('manual', 'schedule')),
    constraint retention_runs_status_check check (status in ('planning', 'running', 'done', 'refused', 'stopped'))
);
create index retention_runs_project_id_idx on retention_runs (project_id, created_at desc, id desc);
create index retention_runs_open_idx on retention_runs (created_at) where status in ('planning', 'running');
