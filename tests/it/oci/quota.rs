//! A project that is full, as clients see it.

use bytes::Bytes;
use http::Method;
use portolan::base::actor::PlatformRole;
use portolan::base::{Actor, Digest};
use portolan::registry::quota::Limits;

use crate::support::images::tiny;
use crate::support::oci::TestFace;

#[tokio::test]
async fn every_way_to_push_is_refused_with_403_and_words_that_help() {
    let face = TestFace::start().await;
    let ada = face.client_of("ada", "ta/app").await;
    let image = tiny("fits");
    ada.push("ta/app", "1", &image).await;
    let admin = Actor { platform_role: PlatformRole::Admin, ..Actor::system() };
    let registry = &face.registry.registry;
    let project = "ta".parse().expect("a name");
    let used = registry.quota(&admin, &project).await.expect("a quota").used_bytes;
    let limits = Limits { bytes: Some(used + 10), artifacts: None };
    registry.set_quota(&admin, &project, limits, None).await.expect("limits");
    let big = Bytes::from(vec![9u8; 2000]);
    let digest = Digest::sha256(&big);
    let start = "/v2/ta/app/blobs/uploads/";
    let refused = [
        ada.send(Method::PATCH, &ada.upload("ta/app").await, &[], big.clone()).await,
        ada.send(
            Method::PATCH,
            &ada.upload("ta/app").await,
            &[("content-range", "0-1999"), ("content-length", "2000")],
            big.clone(),
        )
        .await,
        ada.send(
            Method::PUT,
            &format!("{}?digest={digest}", ada.upload("ta/app").await),
            &[],
            big.clone(),
        )
        .await,
        ada.send(
            Method::POST,
            &format!("{start}?digest={digest}"),
            &[("content-length", "2000")],
            big.clone(),
        )
        .await,
    ];
    for answer in refused {
        let answer = answer.expect(403);
        assert_eq!(answer.code(), "DENIED");
        assert!(answer.headers.get("www-authenticate").is_none(), "no other token would help");
        let message = answer.json()["errors"][0]["message"].as_str().expect("words").to_owned();
        for part in ["\"ta\"", "may store", "stores", "needs", "administrator"] {
            assert!(message.contains(part), "{message}");
        }
    }
    let path = format!("/v2/ta/app/blobs/{}", Digest::sha256(&image.config));
    ada.head(&path).await.expect(200);
    let limits = Limits { bytes: Some(used), artifacts: None };
    registry.set_quota(&admin, &project, limits, None).await.expect("limits");
    let full = ada.post(start, Bytes::new()).await.expect(403);
    assert_eq!(full.code(), "DENIED", "before any byte");
    let none = face.anonymous().post(start, Bytes::new()).await.expect(401);
    assert!(!String::from_utf8_lossy(&none.body).contains("may store"), "nobody learns the use");
    let bob = face.client_of("bob", "ta/app").await;
    let stranger = bob.post(start, Bytes::new()).await;
    assert!([401, 404].contains(&stranger.status.as_u16()));
    assert!(!String::from_utf8_lossy(&stranger.body).contains("may store"));
}
