//! How the values of `base` are stored: ids as `uuid`, names and digests as `text`.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

use crate::base::actor::PlatformRole;
use crate::base::id::*;
use crate::base::{
    ApplicationName, DeploymentName, Digest, EnvironmentName, ProjectName, RepositoryName,
    ServiceName, SourceName, TagName, TeamName, UserName,
};

macro_rules! store_ids {
    ($($ty:ident),* $(,)?) => {$(
        impl Type<Postgres> for $ty {
            fn type_info() -> PgTypeInfo {
                <uuid::Uuid as Type<Postgres>>::type_info()
            }
        }
        impl PgHasArrayType for $ty {
            fn array_type_info() -> PgTypeInfo {
                <uuid::Uuid as PgHasArrayType>::array_type_info()
            }
        }
        impl<'q> Encode<'q, Postgres> for $ty {
            fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
                <uuid::Uuid as Encode<'q, Postgres>>::encode_by_ref(&self.uuid(), buf)
            }
        }
        impl<'r> Decode<'r, Postgres> for $ty {
            fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
                <uuid::Uuid as Decode<'r, Postgres>>::decode(value).map(Self::from)
            }
        }
    )*};
}
store_ids!(
    UserId,
    SessionId,
    TokenId,
    TeamId,
    ProjectId,
    ApplicationId,
    EnvironmentId,
    RepositoryId,
    ManifestId,
    UploadId,
    DeploymentId,
    RevisionId,
    ReplicaId,
    ServiceId,
    NodeId,
    PlanId,
    RunId,
    EventId,
    TagRuleId,
    LabelId,
    JobId,
    SourceId,
);

/// Text columns that hold a parsed value; a row that does not parse is a decode error.
macro_rules! store_texts {
    ($($ty:ident),* $(,)?) => {$(
        impl Type<Postgres> for $ty {
            fn type_info() -> PgTypeInfo {
                <str as Type<Postgres>>::type_info()
            }
            fn compatible(ty: &PgTypeInfo) -> bool {
                <str as Type<Postgres>>::compatible(ty)
            }
        }
        impl PgHasArrayType for $ty {
            fn array_type_info() -> PgTypeInfo {
                <String as PgHasArrayType>::array_type_info()
            }
        }
        impl<'q> Encode<'q, Postgres> for $ty {
            fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
                <String as Encode<'q, Postgres>>::encode_by_ref(&self.to_string(), buf)
            }
        }
        impl<'r> Decode<'r, Postgres> for $ty {
            fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
                let text = <&str as Decode<'r, Postgres>>::decode(value)?;
                text.parse::<Self>().map_err(Into::into)
            }
        }
    )*};
}
store_texts!(
    ProjectName,
    TeamName,
    ApplicationName,
    EnvironmentName,
    DeploymentName,
    ServiceName,
    SourceName,
    UserName,
    RepositoryName,
    TagName,
    Digest,
    PlatformRole,
);
