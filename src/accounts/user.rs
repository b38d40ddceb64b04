//! Users: who exists, their platform role, and whether they may log in.

use super::{Accounts, NewUser, User, UserChange, password, store};
use crate::accounts::rbac::{Action, Permission, Resource, require_platform};
use crate::base::actor::PlatformRole;
use crate::base::id::UserId;
use crate::base::{Actor, Error, Page, PageRequest, Result, Secret, UserName};
use crate::db::{OnConstraint, Tx};
use crate::events::{self, NewEvent, Target};

fn check_email(email: &str) -> Result<()> {
    let fits = email.len() <= 254
        && !email.chars().any(|c| c.is_whitespace() || c.is_control())
        && email.split_once('@').is_some_and(|(user, host)| {
            !user.is_empty() && !host.is_empty() && !host.contains('@')
        });
    if fits { Ok(()) } else { Err(Error::invalid("email", "must look like name@example.org")) }
}

fn taken(name: &UserName) -> impl FnOnce(&str) -> Option<Error> {
    let name = name.clone();
    move |constraint| match constraint {
        "users_name_key" => Some(Error::conflict(
            "user_name_taken",
            format!("the name \"{name}\" is taken; choose another"),
        )),
        "users_email_key" => {
            Some(Error::conflict("email_taken", "another user has this email address"))
        }
        _ => None,
    }
}

impl Accounts {
    /// Creates the user `admin` if there is no user yet. Returns the password if it was generated
    /// here and must be shown.
    pub async fn ensure_admin(&self, given: Option<Secret>) -> Result<Option<Secret>> {
        if store::count_users(&mut *self.db.read().await?).await? > 0 {
            return Ok(None);
        }
        let name: UserName = "admin".parse()?;
        let generated = match &given {
            Some(given) => {
                password::check(name.as_str(), given)?;
                None
            }
            None => {
                use base64::Engine as _;
                let bytes = super::secret::random_bytes::<15>()?;
                let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
                Some(Secret::new(engine.encode(bytes)))
            }
        };
        let Some(secret) = generated.clone().or(given) else { return Ok(None) };
        let new = NewUser {
            name,
            email: "admin@localhost".to_owned(),
            password: secret,
            platform_role: PlatformRole::Admin,
        };
        match self.insert_user(&Actor::system(), new).await {
            Ok(_) => Ok(generated),
            // Another server was faster; its password stands.
            Err(error) if error.code() == "user_name_taken" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates a user (platform permission `user:create`).
    pub async fn create_user(&self, actor: &Actor, new: NewUser) -> Result<User> {
        require_platform(actor, Permission(Resource::User, Action::Create))?;
        check_email(&new.email)?;
        password::check(new.name.as_str(), &new.password)?;
        self.insert_user(actor, new).await
    }

    async fn insert_user(&self, actor: &Actor, new: NewUser) -> Result<User> {
        let hash = self.hasher.hash(&new.password).await?;
        let now = self.now();
        let user = User {
            id: UserId::new(now),
            name: new.name,
            email: new.email,
            platform_role: new.platform_role,
            disabled_at: None,
            locale: None,
            created_at: now,
            updated_at: now,
        };
        let mut tx = self.db.begin().await?;
        store::insert_user(tx.conn(), &user, &hash).await.on_constraints(taken(&user.name))?;
        let role = user.platform_role.as_str();
        self.append(
            &mut tx,
            actor,
            "user.create",
            &user,
            format!("created the user \"{}\" ({role})", user.name),
            serde_json::json!({}),
        )
        .await?;
        tx.commit().await?;
        Ok(user)
    }

    async fn append(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        action: &'static str,
        user: &User,
        message: String,
        detail: serde_json::Value,
    ) -> Result<()> {
        let target = Target::new("user", user.id, &user.name);
        let event = NewEvent::new(action, target, message).detail(detail);
        events::append(tx, &*self.clock.0, actor, event).await
    }

    /// Changes a user. Admins anybody; others their own e-mail and locale.
    pub async fn update_user(
        &self,
        actor: &Actor,
        name: &UserName,
        change: UserChange,
    ) -> Result<User> {
        let own = actor.user_id.is_some() && actor.name == name.as_str();
        let only_own_fields = change.platform_role.is_none() && change.disabled.is_none();
        if !(own && only_own_fields) {
            require_platform(actor, Permission(Resource::User, Action::Update))?;
        }
        if let Some(email) = &change.email {
            check_email(email)?;
        }
        if change.locale.as_deref().is_some_and(|locale| !matches!(locale, "en" | "zh")) {
            return Err(Error::invalid("locale", "must be en or zh"));
        }
        let now = self.now();
        let mut tx = self.db.begin().await?;
        let before = self.locked(&mut tx, name).await?;
        let mut after = before.clone();
        after.email = change.email.unwrap_or(after.email);
        after.platform_role = change.platform_role.unwrap_or(after.platform_role);
        after.locale = change.locale.or(after.locale);
        after.disabled_at = match change.disabled {
            None => before.disabled_at,
            Some(false) => None,
            Some(true) => before.disabled_at.or(Some(now)),
        };
        after.updated_at = now;
        let powerless = after.platform_role != PlatformRole::Admin || after.disabled_at.is_some();
        if powerless {
            self.keep_an_admin(&mut tx, &before).await?;
        }
        let cut = after.platform_role != before.platform_role
            || (after.disabled_at.is_some() && before.disabled_at.is_none());
        store::update_user(tx.conn(), &after, cut).await.on_constraints(taken(name))?;
        if cut {
            store::delete_sessions_of(tx.conn(), after.id, None).await?;
        }
        let show = |u: &User| {
            serde_json::json!({
                "email": u.email, "platformRole": u.platform_role.as_str(), "disabled": u.disabled_at.is_some(),
            })
        };
        let detail = serde_json::json!({ "before": show(&before), "after": show(&after) });
        self.append(
            &mut tx,
            actor,
            "user.update",
            &after,
            format!("changed the user \"{name}\""),
            detail,
        )
        .await?;
        tx.commit().await?;
        self.keys.forget(after.id).await;
        Ok(after)
    }

    async fn locked(&self, tx: &mut Tx, name: &UserName) -> Result<User> {
        store::lock_user(tx.conn(), name)
            .await?
            .map(User::from)
            .ok_or_else(|| Error::not_found("user", name))
    }

    /// Refuses what would leave the platform without an enabled admin.
    async fn keep_an_admin(&self, tx: &mut Tx, user: &User) -> Result<()> {
        let admins = store::lock_admins(tx.conn()).await?;
        if admins.len() == 1 && admins.contains(&user.id) {
            return Err(Error::conflict(
                "last_admin",
                format!("\"{}\" is the only enabled admin; make another one first", user.name),
            ));
        }
        Ok(())
    }

    /// Sets a password. Others' by admins; one's own with the current one. Ends other sessions.
    pub async fn set_password(
        &self,
        actor: &Actor,
        name: &UserName,
        current: Option<&Secret>,
        new: &Secret,
    ) -> Result<()> {
        let own = actor.user_id.is_some() && actor.name == name.as_str();
        if own {
            let wrong = || Error::invalid("currentPassword", "is not your current password");
            let origin = super::Origin {
                channel: actor.channel,
                address: actor.address,
                request_id: actor.request_id.clone(),
                user_agent: None,
            };
            let current = current.ok_or_else(wrong)?;
            if self.proven(name.as_str(), current, &origin).await?.is_none() {
                let target = Target::named("user", name);
                let event =
                    NewEvent::new("user.password", target, "the current password was wrong")
                        .outcome(events::Outcome::Denied);
                self.record(actor, event).await?;
                return Err(wrong());
            }
        } else {
            require_platform(actor, Permission(Resource::User, Action::Update))?;
        }
        password::check(name.as_str(), new)?;
        let hash = self.hasher.hash(new).await?;
        let now = self.now();
        let mut tx = self.db.begin().await?;
        let user = self.locked(&mut tx, name).await?;
        store::set_password(tx.conn(), user.id, &hash, now).await?;
        let keep = actor.session_id.filter(|_| own);
        store::delete_sessions_of(tx.conn(), user.id, keep).await?;
        self.append(
            &mut tx,
            actor,
            "user.password",
            &user,
            format!("set the password of \"{name}\""),
            serde_json::json!({}),
        )
        .await?;
        tx.commit().await?;
        self.keys.forget(user.id).await;
        Ok(())
    }

    /// Deletes a user; the last admin cannot go.
    pub async fn delete_user(&self, actor: &Actor, name: &UserName) -> Result<()> {
        require_platform(actor, Permission(Resource::User, Action::Delete))?;
        let mut tx = self.db.begin().await?;
        let user = self.locked(&mut tx, name).await?;
        self.keep_an_admin(&mut tx, &user).await?;
        store::delete_user(tx.conn(), user.id).await?;
        self.append(
            &mut tx,
            actor,
            "user.delete",
            &user,
            format!("deleted the user \"{name}\""),
            serde_json::json!({}),
        )
        .await?;
        tx.commit().await?;
        self.keys.forget(user.id).await;
        Ok(())
    }

    /// One user. E-mail addresses of others are for admins and auditors.
    pub async fn user(&self, actor: &Actor, name: &UserName) -> Result<User> {
        require_platform(actor, Permission(Resource::User, Action::Read))?;
        let user = store::find_user(&mut *self.db.read().await?, name.as_str())
            .await?
            .ok_or_else(|| Error::not_found("user", name))?;
        Ok(shown_to(actor, user.into()))
    }

    /// Users by name.
    pub async fn list_users(
        &self,
        actor: &Actor,
        query: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<User>> {
        require_platform(actor, Permission(Resource::User, Action::List))?;
        let limit = page.limit()?;
        let after: Option<String> = page.after_key()?;
        let rows =
            store::list_users(&mut *self.db.read().await?, query, after.as_deref(), limit).await?;
        let users = rows.into_iter().map(User::from).collect();
        let page = Page::from_rows(users, limit, |user: &User| user.name.to_string());
        Ok(page.map(|user| shown_to(actor, user)))
    }

    /// The caller as a user.
    pub async fn me(&self, actor: &Actor) -> Result<User> {
        let id = actor.user_id.ok_or_else(|| Error::unauthenticated("log in first"))?;
        store::find_user_by_id(&mut *self.db.read().await?, id)
            .await?
            .map(User::from)
            .ok_or_else(|| Error::unauthenticated("log in first"))
    }
}

fn shown_to(actor: &Actor, mut user: User) -> User {
    let sees = actor.is_admin()
        || actor.platform_role == PlatformRole::Auditor
        || actor.user_id == Some(user.id);
    if !sees {
        user.email = String::new();
    }
    user
}
