-- Tenancy and ownership: teams, projects, members, environments, applications.

create table teams (
    id uuid not null,
    name text collate "C" not null,
    description text not null default '',
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint teams_pkey primary key (id),
    constraint teams_name_key unique (name)
);

create table team_members (
    team_id uuid not null,
    user_id uuid not null,
    created_at timestamptz not null,
    constraint team_members_pkey primary key (team_id, user_id),
    constraint team_members_team_id_fkey foreign key (team_id) references teams (id) on delete cascade,
    constraint team_members_user_id_fkey foreign key (user_id) references users (id) on delete cascade
);
create index team_members_user_id_idx on team_members (user_id);

create table projects (
    id uuid not null,
    name text collate "C" not null,
    description text not null default '',
    visibility text not null default 'private',
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint projects_pkey primary key (id),
    constraint projects_name_key unique (name),
    constraint projects_visibility_check check (visibility in ('private', 'public'))
);

-- A member is a user or a team; exactly one of the two.
create table project_members (
    id bigint generated always as identity,
    project_id uuid not null,
    user_id uuid,
    team_id uuid,
    role text not null,
    created_at timestamptz not null,
    constraint project_members_pkey primary key (id),
    constraint project_members_project_id_fkey foreign key (project_id) references projects (id) on delete cascade,
    constraint project_members_user_id_fkey foreign key (user_id) references users (id) on delete cascade,
    constraint project_members_team_id_fkey foreign key (team_id) references teams (id) on delete cascade,
    constraint project_members_one_check check ((user_id is null) <> (team_id is null)),
    constraint project_members_role_check
        check (role in ('limited_guest', 'guest', 'developer', 'maintainer', 'project_admin'))
);
create unique index project_members_user_key on project_members (project_id, user_id) where user_id is not null;
create unique index project_members_team_key on project_members (project_id, team_id) where team_id is not null;
create index project_members_user_id_idx on project_members (user_id) where user_id is not null;
create index project_members_team_id_idx on project_members (team_id) where team_id is not null;

create table environments (
    id uuid not null,
    project_id uuid not null,
    -- Unique in the installation: it is a namespace of the Kubernetes-compatible API.
    name text collate "C" not null,
    created_at timestamptz not null,
    constraint environments_pkey primary key (id),
    constraint environments_name_key unique (name),
    constraint environments_project_id_fkey foreign key (project_id) references projects (id) on delete restrict
);
create index environments_project_id_idx on environments (project_id);

create table applications (
    id uuid not null,
    project_id uuid not null,
    -- The owner; null when the owning team was deleted.
    team_id uuid,
    name text collate "C" not null,
    description text not null default '',
    lifecycle text not null default 'production',
    -- Repository path below the project that the application's images usually come from.
    repository text,
    -- [{"title": …, "url": …}], http and https only.
    links jsonb not null default '[]',
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint applications_pkey primary key (id),
    constraint applications_project_id_name_key unique (project_id, name),
    constraint applications_project_id_fkey foreign key (project_id) references projects (id) on delete restrict,
    constraint applications_team_id_fkey foreign key (team_id) references teams (id) on delete set null,
    constraint applications_lifecycle_check check (lifecycle in ('experimental', 'production', 'deprecated'))
);
create index applications_team_id_idx on applications (team_id);
