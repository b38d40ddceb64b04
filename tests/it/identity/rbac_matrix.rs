//! The whole permission matrix in one reviewed file.

use std::fmt::Write as _;

use portolan::accounts::rbac::{
    self, Action, Decision, Permission, Resource, Role, Visibility, decide_in_project,
    decide_platform,
};
use portolan::base::actor::PlatformRole;
use portolan::base::id::UserId;
use portolan::base::{Actor, Channel, Clock, SystemClock};

fn user(role: PlatformRole) -> Actor {
    Actor::user(UserId::new(SystemClock.now()), "somebody", role, Channel::Api)
}

fn sign(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "yes",
        Decision::Deny => "no",
        Decision::Hide => "hidden",
    }
}

/// `yes`: allowed; `no`: 403; `hidden`: 404, as if it did not exist.
fn matrix() -> String {
    let mut text = String::new();
    let columns: Vec<(&str, Actor, Option<Role>)> = [
        ("anonymous", Actor::anonymous(Channel::Api), None),
        ("stranger", user(PlatformRole::User), None),
        ("auditor", user(PlatformRole::Auditor), None),
        ("admin", user(PlatformRole::Admin), None),
    ]
    .into_iter()
    .chain(Role::ALL.map(|role| (role.as_str(), user(PlatformRole::User), Some(role))))
    .collect();
    for visibility in [Visibility::Private, Visibility::Public] {
        writeln!(text, "# in a {} project", visibility.as_str()).expect("written");
        write!(text, "{:24}", "").expect("written");
        for (name, ..) in &columns {
            write!(text, "{name:>15}").expect("written");
        }
        writeln!(text).expect("written");
        for resource in Resource::ALL.into_iter().filter(|resource| resource.is_in_project()) {
            for action in Action::ALL {
                let permission = Permission(resource, action);
                // Rows nobody but an admin has would only hide the others.
                if !rbac::role_allows(Role::ProjectAdmin, permission) {
                    continue;
                }
                write!(text, "{:24}", permission.to_string()).expect("written");
                for (_, actor, role) in &columns {
                    let decision = decide_in_project(actor, *role, visibility, permission);
                    write!(text, "{:>15}", sign(decision)).expect("written");
                }
                writeln!(text).expect("written");
            }
        }
        writeln!(text).expect("written");
    }
    writeln!(text, "# on the platform").expect("written");
    write!(text, "{:24}", "").expect("written");
    for (name, ..) in columns.iter().take(4) {
        write!(text, "{name:>15}").expect("written");
    }
    writeln!(text).expect("written");
    for resource in Resource::ALL {
        for action in [Action::Create, Action::Read, Action::List, Action::Update, Action::Delete] {
            if resource.is_in_project() && resource != Resource::Project {
                continue;
            }
            let permission = Permission(resource, action);
            write!(text, "{:24}", permission.to_string()).expect("written");
            for (_, actor, _) in columns.iter().take(4) {
                write!(text, "{:>15}", sign(decide_platform(actor, permission))).expect("written");
            }
            writeln!(text).expect("written");
        }
    }
    text
}

#[test]
fn the_matrix_is_the_one_that_was_reviewed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/snapshots/rbac_matrix.txt");
    let now = matrix();
    if std::env::var_os("PORTOLAN_ACCEPT_SNAPSHOTS").is_some() {
        std::fs::write(path, &now).expect("written");
    }
    let reviewed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        now == reviewed,
        "the permission matrix changed; review it and accept it with PORTOLAN_ACCEPT_SNAPSHOTS=1:\n{now}"
    );
}
