-- Other registries, with the credentials a project has for them.
create table import_sources (
    id uuid not null,
    project_id uuid not null,
    name text collate "C" not null,
    -- https://HOST[:PORT], or http:// in networks that the configuration allows.
    url text not null,
    -- A token service on another host that may be sent the credentials.
    token_host text,
    username text not null default '',
    -- Sealed by base::Vault under this row's id; null: anonymous.
    secret bytea,
    generation bigint not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint import_sources_pkey primary key (id),
    constraint import_sources_name_key unique (project_id, name),
    constraint import_sources_project_id_fkey foreign key (project_id) references projects (id) on delete cascade,
    constraint import_sources_secret_check check (octet_length(secret) <= 8192)
);
