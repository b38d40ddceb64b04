# Messages of the pages, English: applications.

app-tabs = Application
app-deployments = Deployments of this application
app-tab-overview = Overview
app-tab-replicas = Replicas
app-tab-logs = Logs
app-tab-revisions = Revisions
app-tab-config = Configuration
app-tab-services = Services
app-tab-events = Events
app-tab-settings = Settings
app-owned-by = Owned by
app-no-owner = No owner
app-environment = in
app-image = image
app-scale = Scale
app-restart = Restart
app-pause = Pause
app-resume = Resume
app-paused = Rollouts are paused
app-not-deployed = Not deployed
app-never-title = Not deployed yet
app-never-text = Choose an image and say how it runs. Its rollout, replicas and logs appear here.
barred-developer = Needs the role developer. Ask an admin of the project.
applications-filter = Filter applications
applications-empty = No applications yet
applications-empty-text = An application has an owner, an image and replicas. Deploy the first one from a pushed image.
applications-empty-other = Nothing is deployed in this project yet.
hero-label = Rollout
hero-replacing = Revision { $revision } is replacing { $previous }:
hero-first = Revision { $revision } is starting:
hero-restored = Revision { $revision } failed; revision { $restored } was restored
hero-failed = Revision { $revision } failed
hero-serving = { $ready ->
        [one] Revision { $revision } serves with one ready replica:
       *[other] Revision { $revision } serves with { $ready } ready replicas:
    }
hero-elapsed = { $span } elapsed, fails in { $left } without progress
hero-elapsed-only = { $span } elapsed
hero-back = Roll back to { $n }
hero-placement = Placement
hero-bounds = { $n } wanted
hero-endpoints = Endpoints
hero-endpoints-none = No traffic reaches it: no service leads here, or no replica is ready.
key-new = new { $n }
key-starting = starting { $n }
key-old = old { $n }
key-failed = failing { $n }
step-admitted = Admitted
step-admitted-note = image pinned by digest
step-placed = Placed
step-placed-note = { $n } of { $of } on a node
step-replacing = Replacing
step-replacing-note = { $ready } of { $of } ready
step-complete = Complete
step-complete-note = { $n ->
        [0] no old replica left
        [one] one old replica left
       *[other] { $n } old replicas left
    }
failure-answers = What its probes answered
failure-lines = Its last lines
yard-unplaced = no node yet
yard-load = { $n }% requested
yard-label = { $replicas } replicas on { $nodes } nodes
replica-pending = Pending
replica-starting = Starting
replica-ready = Ready
replica-not-ready = Not ready
replica-backing-off = Backing off
replica-draining = Draining
replica-stopping = Stopping
replica-address = Address
replica-last-exit = Its last container ended:
replica-answers = Probe answers
replica-answers-none = No probe has answered yet, or none is configured.
replica-lines = Last lines
replica-runs = What it runs
replica-digest = Digest
replica-container = Container
replica-no-env = none
replicas-none = No replica yet.
replicas-zero = Scaled to zero. Scale up to start it.
outcome-live = live
outcome-complete = complete
outcome-rolling = rolling out
outcome-failed = failed
outcome-superseded = superseded
revision-n = Revision { $n }
revisions-none = No revision yet.
revisions-one = Nothing to roll back to yet.
diff = Difference
diff-title = From revision { $from } to { $to }
diff-swap = Swap
diff-none = Nothing differs.
diff-field = Field
diff-before = Before
diff-after = After
roll-back = Roll back
rollback-title = Roll back { $name } to revision { $to }
rollback-text = Revision { $next } will be a copy of revision { $to } and replaces what runs now without a gap. Replicas and services stay as they are. This is what changes:
field-reason = Reason
reason-hint = Optional. It is kept with the revision and in the audit log.
spec-title = Specification
spec-json = JSON
spec-image = Image
spec-cpu = CPU, request → limit
spec-memory = Memory, request → limit
spec-ports = Ports
spec-readiness = Readiness
spec-liveness = Liveness
spec-startup = Startup
spec-probe = { $what } every { $n } s
spec-env = Environment
spec-env-count = { $n ->
        [0] no variables
        [one] one variable
       *[other] { $n } variables
    }
spec-strategy = Strategy
spec-rolling = rolling, new before old
spec-recreate = recreate, old before new
spec-deadline = Deadline
spec-undo-automatic = undone automatically
spec-undo-manual = left as it is
logs-of = Logs of { $name }
logs-following = Following
logs-follow = Follow
logs-pause = Pause
logs-lost = Connection lost, reconnecting
logs-all-replicas = All replicas
logs-filter = Filter lines
logs-previous = Previous container
logs-silent = No lines could be read from
logs-cut = Only the last 1,000 lines are shown.
logs-none = No lines yet.
new-title = Deploy
new-lead = It makes the application if it is new, then runs it. Everything can be changed later.
new-application = Application
new-image = Image
new-run = Run
new-roll-out = Roll out
new-traffic = Traffic
application-name-hint = Lower-case letters, digits and hyphens. The deployment is named alike.
team-hint = Who owns it. Optional.
field-environment = Environment
environment-hint = Where it runs. A new project has one, named like it.
field-image = Image
image-hint = PROJECT/REPOSITORY:TAG of this registry. It is pinned by digest.
field-replicas = Replicas
replicas-hint = 0 to 1,000.
field-port = Container port
port-hint = Where the program listens. Empty: nowhere.
field-probe = Readiness
probe-hint = A replica gets traffic only while this succeeds.
probe-http = HTTP answers 200 to 399
probe-tcp = TCP port opens
probe-exec = command succeeds (set through the API)
probe-none = as soon as it runs
field-probe-path = Path
probe-path-hint = For HTTP, e.g. /ready.
field-cpu-request = CPU request
field-cpu-limit = CPU limit
field-memory-request = Memory request
field-memory-limit = Memory limit
request-hint = Set aside for it: 250m, 64Mi.
limit-hint = It cannot use more: 1, 256Mi.
field-env = Environment variables
env-hint = NAME=value, one a line. Whoever may read the deployment sees them.
field-strategy = Strategy
strategy-hint = Recreate has a gap; choose it only when two copies cannot run at once.
field-deadline = Progress deadline, seconds
deadline-hint = A rollout without progress for this long has failed.
field-rollback = When it fails
rollback-hint = Undoing restores the last complete revision.
field-node-port = Port on this machine
node-port-hint = 1024 to 65535. Empty: no address outside.
config-lead = Saving makes a new revision and rolls it out. A change of replicas alone scales.
config-save = Save and roll out
scale-title = Scale { $name }
scale-now = { $n ->
        [one] One replica is wanted now.
       *[other] { $n } replicas are wanted now.
    }
restart-title = Restart { $name }
restart-text = { $n ->
        [0] It is scaled to zero; nothing is replaced until it is scaled up.
        [one] Its replica is replaced by a new one, started before the old one stops.
       *[other] All { $n } replicas are replaced one after another; traffic goes on.
    }
restart-resolve = Look up { $image } again and run what the tag names now
service-endpoints = { $n ->
        [one] one ready replica
       *[other] { $n } ready replicas
    }
service-new = Make or change a service
service-save = Save service
service-remove = Remove
service-address = Address
service-inside = inside only
service-name-hint = An existing name is changed.
services-none = No service leads here.
field-service-port = Port
service-port-hint = The service's own port.
field-target-port = Target port
target-port-hint = Where the replicas listen. Empty: the same.
field-algorithm = Balancing
algorithm-hint = How a replica is chosen for a request.
algorithm-peak-ewma = fastest of two (peak EWMA)
algorithm-least-connections = least in flight
algorithm-round-robin = in turn
endpoint-active = active
endpoint-draining = draining
settings-about = About the application
settings-save = Save
settings-danger = Danger zone
settings-delete-deployment = Stop all replicas and remove the deployment with its revisions.
settings-delete-application = Remove the application from the catalog.
settings-none = There is nothing here that your role may change.
field-lifecycle = Lifecycle
lifecycle-hint = How far it is.
repository-hint = Path below the project that its images usually come from.
field-links = Links
links-hint = Title and address, one a line: Runbook https://example.org/runbook
delete-deployment = Delete deployment
delete-deployment-title = Delete deployment { $name }
delete-cost-replicas = { $n ->
        [one] one replica is stopped
       *[other] { $n } replicas are stopped
    }
delete-cost-revisions = its revisions and their evidence go
delete-blocked-services = The service { $names } leads here. Remove it first.
delete-application = Delete application
delete-application-title = Delete application { $name }
delete-cost-application = it leaves the catalog; images and events stay
delete-blocked-deployments = It is deployed as { $names }. Delete that first.
flash-deployed = { $name } is being rolled out.
flash-saved = Saved; { $name } is being rolled out.
flash-unchanged = Nothing changed.
flash-scaled = Scaling to { $name }.
flash-paused = Rollouts of { $name } are paused.
flash-resumed = Rollouts of { $name } go on.
flash-restarted = { $name } is being restarted.
flash-rolled-back = Rolling back to revision { $name }.
flash-service-saved = Service { $name } is saved.
flash-service-removed = Service { $name } is removed.
flash-settings-saved = { $name } is saved.
flash-deployment-deleted = Deployment { $name } is being removed.
flash-application-deleted = Application { $name } is removed.
col-replica = Replica
col-in-flight = In flight
col-node = Node
col-revision = Revision
col-started = Started
col-restarts = Restarts
col-actions = Actions
col-team = Team
