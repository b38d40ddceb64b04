-- Desired state of workloads and what the engine made of it.

create table nodes (
    id uuid not null,
    name text collate "C" not null,
    -- Docker address: unix:///var/run/docker.sock, tcp://…
    address text not null,
    -- Docker Engine's own id; a second node row must not be the same engine.
    engine_id text,
    labels jsonb not null default '{}',
    cordoned boolean not null default false,
    cpu_millis bigint not null default 0,
    memory_bytes bigint not null default 0,
    version text not null default '',
    -- Why it is not ready, in words; null when it is.
    not_ready_reason text,
    heartbeat_at timestamptz,
    created_at timestamptz not null,
    constraint nodes_pkey primary key (id),
    constraint nodes_name_key unique (name)
);

create table deployments (
    id uuid not null,
    environment_id uuid not null,
    application_id uuid,
    name text collate "C" not null,
    replicas integer not null,
    -- Strategy, deadlines and switches (engine::spec::DeploymentSettings).
    settings jsonb not null,
    -- The revision that should run; null only inside the creating transaction.
    current_revision bigint not null,
    -- The last revision whose rollout completed; where an automatic undo goes.
    stable_revision bigint,
    -- Raised by every change of desired state; reconcilers report the one they acted on.
    generation bigint not null,
    observed_generation bigint not null default 0,
    -- What the engine last saw (engine::status::DeploymentStatus).
    status jsonb not null default '{}',
    created_at timestamptz not null,
    updated_at timestamptz not null,
    -- Set while its replicas are being removed; the row goes when the last one is gone.
    deleting_at timestamptz,
    constraint deployments_pkey primary key (id),
    constraint deployments_environment_id_name_key unique (environment_id, name),
    constraint deployments_environment_id_fkey foreign key (environment_id) references environments (id) on delete restrict,
    constraint deployments_application_id_fkey foreign key (application_id) references applications (id) on delete restrict,
    constraint deployments_replicas_check check (replicas between 0 and 1000)
);
create index deployments_application_id_idx on deployments (application_id);

create table revisions (
    id uuid not null,
    deployment_id uuid not null,
    number bigint not null,
    -- The pod template as the user wrote it (engine::spec::PodTemplate).
    template jsonb not null,
    -- Image reference in the template → pinned digest, resolved when the revision was admitted.
    images jsonb not null,
    -- SHA-256 of template and images; equal hashes are the same revision.
    template_hash text not null,
    -- 'deploy', 'rollback to N', …, and the reason a person gave.
    cause text not null,
    created_by text not null,
    created_at timestamptz not null,
    -- When its rollout began, and when it last made progress.
    started_at timestamptz,
    progressed_at timestamptz,
    finished_at timestamptz,
    outcome text not null default 'pending',
    -- Why it failed, with the last log lines and probe answers (engine::status::RolloutFailure).
    failure jsonb,
    constraint revisions_pkey primary key (id),
    constraint revisions_deployment_id_number_key unique (deployment_id, number),
    constraint revisions_deployment_id_fkey foreign key (deployment_id) references deployments (id) on delete cascade,
    constraint revisions_outcome_check check (outcome in ('pending', 'progressing', 'complete', 'failed', 'superseded'))
);

-- Intents: a row exists before its container and until after it. The container carries the
-- row's id as a label; a container of ours without a row is removed.
create table replicas (
    id uuid not null,
    deployment_id uuid not null,
    revision_id uuid not null,
    node_id uuid,
    name text collate "C" not null,
    phase text not null,
    -- Why it is in this phase, in words.
    reason text not null default '',
    -- Counts containers of this replica: 0 the first, then one more per restart.
    restarts integer not null default 0,
    container_id text,
    -- Address of the replica on its network, once it runs.
    address inet,
    ready boolean not null default false,
    ready_since timestamptz,
    started_at timestamptz,
    last_exit jsonb,
    -- Earliest time of the next restart while backing off.
    retry_at timestamptz,
    created_at timestamptz not null,
    constraint replicas_pkey primary key (id),
    constraint replicas_name_key unique (deployment_id, name),
    constraint replicas_deployment_id_fkey foreign key (deployment_id) references deployments (id) on delete cascade,
    constraint replicas_revision_id_fkey foreign key (revision_id) references revisions (id) on delete restrict,
    constraint replicas_node_id_fkey foreign key (node_id) references nodes (id) on delete restrict,
    constraint replicas_phase_check
        check (phase in ('pending', 'starting', 'running', 'backing_off', 'draining', 'stopping'))
);
create index replicas_revision_id_idx on replicas (revision_id);
create index replicas_node_id_idx on replicas (node_id);

create table services (
    id uuid not null,
    environment_id uuid not null,
    deployment_id uuid not null,
    name text collate "C" not null,
    algorithm text not null default 'peak_ewma',
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint services_pkey primary key (id),
    constraint services_environment_id_name_key unique (environment_id, name),
    constraint services_environment_id_fkey foreign key (environment_id) references environments (id) on delete restrict,
    constraint services_deployment_id_fkey foreign key (deployment_id) references deployments (id) on delete restrict,
    constraint services_algorithm_check check (algorithm in ('peak_ewma', 'least_connections', 'round_robin'))
);
create index services_deployment_id_idx on services (deployment_id);

create table service_ports (
    service_id uuid not null,
    name text not null default '',
    port integer not null,
    target_port integer not null,
    -- Port on every node's gateway; unique in the installation.
    node_port integer,
    -- auto: HTTP when the first bytes look like it, else TCP.
    protocol text not null default 'auto',
    constraint service_ports_pkey primary key (service_id, port),
    constraint service_ports_service_id_fkey foreign key (service_id) references services (id) on delete cascade,
    constraint service_ports_node_port_key unique (node_port),
    constraint service_ports_port_check check (port between 1 and 65535 and target_port between 1 and 65535),
    constraint service_ports_node_port_check check (node_port between 1024 and 65535),
    constraint service_ports_protocol_check check (protocol in ('auto', 'http', 'tcp'))
);

-- One row per role that only one server may hold; the token rises with every new holder, and
-- intents are written only by a transaction that still sees its own token.
create table leases (
    name text not null,
    holder text not null,
    token bigint not null,
    acquired_at timestamptz not null,
    constraint leases_pkey primary key (name)
);
