//! A fresh database per test, cloned from a template that is migrated once per set of migrations.
//!
//! The cluster is named by `PORTOLAN_TEST_DATABASE_URL`; `make test` starts a throwaway one.
//! Databases are never dropped (that would force a checkpoint each); the cluster is thrown away.

use std::str::FromStr;

use portolan::db::{Db, PoolLimits};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};

fn cluster() -> PgConnectOptions {
    let url = std::env::var("PORTOLAN_TEST_DATABASE_URL").expect(
        "PORTOLAN_TEST_DATABASE_URL names the test cluster; run the tests with `make test`",
    );
    PgConnectOptions::from_str(&url).expect("PORTOLAN_TEST_DATABASE_URL is a PostgreSQL URL")
}

/// Name of the template, by the checksums of all migrations.
fn template_name() -> String {
    let mut all = Vec::new();
    for migration in sqlx::migrate!().iter() {
        all.extend_from_slice(&migration.checksum);
    }
    format!("tpl_{}", portolan::base::Digest::sha256(&all).short())
}

async fn ensure_template(admin: &mut PgConnection, name: &str) {
    sqlx::raw_sql("select pg_advisory_lock(7041776)").execute(&mut *admin).await.expect("lock");
    let ready = sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "select 1 from pg_database where datname = '{name}' and datistemplate"
    )))
    .fetch_optional(&mut *admin)
    .await
    .expect("look for the template");
    if ready.is_none() {
        run(admin, format!("drop database if exists {name}")).await;
        run(admin, format!("create database {name}")).await;
        let db =
            Db::connect(cluster().database(name), PoolLimits::default()).await.expect("connect");
        db.migrate().await.expect("migrate the template");
        db.close().await;
        run(admin, format!("alter database {name} is_template true")).await;
    }
    sqlx::raw_sql("select pg_advisory_unlock(7041776)").execute(admin).await.expect("unlock");
}

async fn run(admin: &mut PgConnection, sql: String) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.clone()))
        .execute(admin)
        .await
        .unwrap_or_else(|e| panic!("{sql}: {e}"));
}

/// Connection options of a fresh, migrated database, for tests that start the binary.
pub async fn test_database() -> PgConnectOptions {
    let mut admin = cluster().connect().await.expect("the test cluster answers");
    let template = template_name();
    ensure_template(&mut admin, &template).await;
    let mut bytes = [0u8; 8];
    aws_lc_rs::rand::fill(&mut bytes).expect("random");
    let name = format!("t_{}", hex::encode(bytes));
    run(&mut admin, format!("create database {name} template {template}")).await;
    let _ = admin.close().await;
    cluster().database(&name)
}

/// A fresh, migrated database.
pub async fn test_db() -> Db {
    let limits = PoolLimits { max_connections: 8, ..PoolLimits::default() };
    Db::connect(test_database().await, limits).await.expect("connect")
}
