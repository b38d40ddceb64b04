//! A row of the API: method, path, handler, who may call it, and its words for the document.
//!
//! The router, the access table and the OpenAPI document are all made from the same rows, so
//! they cannot disagree.

use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::Schema;
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::accounts::rbac::{Action, Permission, Resource};
use crate::http::caller::ApiCaller;
use crate::http::{Access, Services, idempotency};

/// Name and schema of a component of the document.
pub(super) type Component = (String, RefOr<Schema>);

/// A schema and the components it refers to.
#[derive(Clone)]
pub(super) struct Shape {
    pub(super) schema: RefOr<Schema>,
    pub(super) components: Vec<Component>,
}

impl Shape {
    fn of<T: ToSchema>() -> Self {
        let mut components = vec![(T::name().into_owned(), <T as PartialSchema>::schema())];
        T::schemas(&mut components);
        let schema = RefOr::Ref(utoipa::openapi::Ref::from_schema_name(T::name()));
        Self { schema, components }
    }
}

/// What a route answers with.
#[derive(Clone)]
pub(super) enum Answer {
    /// No body.
    Nothing,
    One(Shape),
    /// `{items, next}`.
    List(Shape),
    /// Not JSON: its media type.
    Other(&'static str),
}

/// What a route takes as its body.
#[derive(Clone)]
pub(super) struct Body {
    pub(super) shape: Shape,
    pub(super) required: bool,
}

/// One row.
pub(super) struct Route {
    pub(super) method: Method,
    /// As documented.
    pub(super) path: &'static str,
    /// `None`: the wildcard route of repositories serves it.
    pub(super) handler: Option<MethodRouter<Services>>,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) access: Access,
    pub(super) query: Vec<Parameter>,
    pub(super) body: Option<Body>,
    /// Status and body of success.
    pub(super) status: u16,
    pub(super) answer: Answer,
    pub(super) notes: &'static str,
    /// Takes `Idempotency-Key`.
    pub(super) idempotent: bool,
}

impl Route {
    pub(super) fn documented(
        method: Method,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        access: Access,
    ) -> Self {
        Self {
            method,
            path,
            handler: None,
            id,
            summary,
            access,
            query: Vec::new(),
            body: None,
            status: 204,
            answer: Answer::Nothing,
            notes: "",
            idempotent: false,
        }
    }

    pub(super) fn query<T: IntoParams>(mut self) -> Self {
        self.query = T::into_params(|| Some(ParameterIn::Query));
        self
    }

    pub(super) fn body<T: ToSchema>(mut self) -> Self {
        self.body = Some(Body { shape: Shape::of::<T>(), required: true });
        self
    }

    pub(super) fn optional_body<T: ToSchema>(mut self) -> Self {
        self.body = Some(Body { shape: Shape::of::<T>(), required: false });
        self
    }

    pub(super) fn answers<T: ToSchema>(mut self, status: u16) -> Self {
        (self.status, self.answer) = (status, Answer::One(Shape::of::<T>()));
        self
    }

    pub(super) fn lists<T: ToSchema>(mut self) -> Self {
        (self.status, self.answer) = (200, Answer::List(Shape::of::<T>()));
        self
    }

    pub(super) fn sends(mut self, media_type: &'static str) -> Self {
        (self.status, self.answer) = (200, Answer::Other(media_type));
        self
    }

    pub(super) fn notes(mut self, notes: &'static str) -> Self {
        self.notes = notes;
        self
    }
}

macro_rules! methods {
    ($($name:ident $filter:ident),*) => {$(
        pub(super) fn $name<H, T>(
            path: &'static str,
            handler: H,
            id: &'static str,
            summary: &'static str,
            access: Access,
        ) -> Route
        where
            H: Handler<T, Services>,
            T: 'static,
        {
            let mut route = Route::documented(Method::$filter, path, id, summary, access);
            route.handler = Some(on(MethodFilter::$filter, handler));
            route
        }
    )*};
}
methods!(get GET, post POST, put PUT, patch PATCH, delete DELETE);

/// A create that may be repeated with the same `Idempotency-Key`.
pub(super) fn create<H, T>(
    path: &'static str,
    handler: H,
    id: &'static str,
    summary: &'static str,
    access: Access,
) -> Route
where
    H: Handler<T, Services> + Sync,
    T: 'static,
{
    let once = move |State(services): State<Services>, caller: ApiCaller, request: Request| {
        let handler = handler.clone();
        async move {
            let inner = services.clone();
            let run = |request| handler.call(request, inner);
            idempotency::once(services, &caller, request, run).await
        }
    };
    let mut route = post(path, once, id, summary, access);
    route.idempotent = true;
    route
}

/// A permission in the project of the path.
pub(super) fn in_project(resource: Resource, action: Action) -> Access {
    Access::Project(Permission(resource, action))
}

/// A permission of the platform.
pub(super) fn platform(resource: Resource, action: Action) -> Access {
    Access::Platform(Permission(resource, action))
}

/// The caller's own things.
pub(super) fn own(action: Action) -> Access {
    Access::Platform(Permission(Resource::Own, action))
}
