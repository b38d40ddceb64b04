//! SQL of the catalog, one file per kind of row.

pub(super) mod application;
pub(super) mod environment;
pub(super) mod member;
pub(super) mod project;
pub(super) mod team;

use sqlx::error::BoxDynError;
use sqlx::postgres::{PgHasArrayType, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Postgres, Type};

use super::Lifecycle;
use crate::accounts::rbac::{Role, Visibility};

/// Words of closed sets, stored as text.
macro_rules! read_words {
    ($($ty:ident),*) => {$(
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
        impl<'r> Decode<'r, Postgres> for $ty {
            fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
                <&str as Decode<'r, Postgres>>::decode(value)?.parse::<Self>().map_err(Into::into)
            }
        }
    )*};
}
read_words!(Role, Visibility, Lifecycle);
