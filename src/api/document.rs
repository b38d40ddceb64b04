//! The OpenAPI 3.1 document, made from the routes.

use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ArrayBuilder, Components, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    Content, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, Paths, Ref, RefOr, Required,
    ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};

use super::route::{Answer, Route, Shape};
use crate::http::Access;
use crate::http::caller::SESSION_COOKIE;
use crate::http::problem::{MEDIA_TYPE, ProblemDocument};

const JSON: &str = "application/json";

/// The document of these routes.
pub(super) fn of(routes: &[Route]) -> OpenApi {
    let mut components = Components::new();
    let mut problem = vec![(ProblemDocument::name().into_owned(), ProblemDocument::schema())];
    ProblemDocument::schemas(&mut problem);
    components.schemas.extend(problem);
    let mut paths = Paths::new();
    for route in routes {
        for shape in shapes(route) {
            components.schemas.extend(shape.components.iter().cloned());
        }
        let mut item = PathItem::default();
        let slot = match method(route) {
            HttpMethod::Get => &mut item.get,
            HttpMethod::Post => &mut item.post,
            HttpMethod::Put => &mut item.put,
            HttpMethod::Patch => &mut item.patch,
            _ => &mut item.delete,
        };
        *slot = Some(operation(route));
        match paths.paths.get_mut(route.path) {
            Some(present) => present.merge_operations(item),
            None => {
                paths.paths.insert(route.path.to_owned(), item);
            }
        }
    }
    let basic = HttpBuilder::new().scheme(HttpAuthScheme::Basic).build();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("basic", SecurityScheme::Http(basic));
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    let session = ApiKey::Cookie(ApiKeyValue::new(SESSION_COOKIE));
    components.add_security_scheme("session", SecurityScheme::ApiKey(session));
    let info = InfoBuilder::new()
        .title("Portolan")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Registry, application catalog and deployment engine. Lists are `{items, next}`; \
             pass `next` as `after`. Errors are RFC 9457 problem documents.",
        ))
        .build();
    OpenApiBuilder::new().info(info).paths(paths).components(Some(components)).build()
}

fn method(route: &Route) -> HttpMethod {
    match route.method.as_str() {
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "PATCH" => HttpMethod::Patch,
        "DELETE" => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

fn shapes(route: &Route) -> impl Iterator<Item = &Shape> {
    let answer = match &route.answer {
        Answer::One(shape) | Answer::List(shape) => Some(shape),
        Answer::Nothing | Answer::Other(_) => None,
    };
    route.body.iter().map(|body| &body.shape).chain(answer)
}

/// Who may call a route, in words.
pub(super) fn needs(access: Access) -> String {
    match access {
        Access::Public => "Anybody may call this.".to_owned(),
        Access::LoggedIn => "Whoever is logged in may call this.".to_owned(),
        Access::Platform(permission) => format!("Needs the platform permission `{permission}`."),
        Access::Project(permission) => format!("Needs `{permission}` in the project."),
        Access::PerObject => "Shows only what the caller may see.".to_owned(),
    }
}

fn text_parameter(name: &str, place: ParameterIn, required: Required, says: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description((!says.is_empty()).then_some(says))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

fn operation(route: &Route) -> Operation {
    let mut parameters: Vec<Parameter> = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| text_parameter(name, ParameterIn::Path, Required::True, ""))
        .collect();
    parameters.extend(route.query.iter().cloned());
    if route.idempotent {
        let says = "The same key with the same request gets the first answer, for 24 hours.";
        let header = ParameterIn::Header;
        parameters.push(text_parameter("Idempotency-Key", header, Required::False, says));
    }
    let description = format!("{} {}", needs(route.access), route.notes);
    let mut built = OperationBuilder::new()
        .operation_id(Some(route.id))
        .summary(Some(route.summary))
        .description(Some(description.trim()))
        .tag(tag(route.path))
        .response(route.status.to_string(), success(&route.answer));
    if route.status == 200 && route.method == axum::http::Method::PUT && route.notes.contains("201")
    {
        built = built.response("201", success(&route.answer));
    }
    let problem =
        Content::new(Some(RefOr::<Schema>::Ref(Ref::from_schema_name(ProblemDocument::name()))));
    let refused = ResponseBuilder::new().description("Refused.").content(MEDIA_TYPE, problem);
    built = built.response("default", refused.build());
    if !parameters.is_empty() {
        built = built.parameters(Some(parameters));
    }
    if let Some(body) = &route.body {
        let required = if body.required { Required::True } else { Required::False };
        let content = Content::new(Some(body.shape.schema.clone()));
        let body = RequestBodyBuilder::new().content(JSON, content).required(Some(required));
        built = built.request_body(Some(body.build()));
    }
    if route.access != Access::Public {
        let none: [&str; 0] = [];
        let each = ["basic", "token", "session"].map(|name| SecurityRequirement::new(name, none));
        built = built.securities(Some(each));
    }
    built.build()
}

/// The word after `/api/v1/`; things of a project or an environment go by their own word.
fn tag(path: &str) -> &str {
    let words: Vec<&str> = path.split('/').skip(3).filter(|w| !w.starts_with('{')).collect();
    match words.as_slice() {
        ["projects" | "environments", own, ..] => own,
        [first, ..] => first,
        [] => "api",
    }
}

fn success(answer: &Answer) -> utoipa::openapi::Response {
    let built = ResponseBuilder::new();
    match answer {
        Answer::Nothing => built.description("Done."),
        Answer::One(shape) => {
            built.description("Done.").content(JSON, Content::new(Some(shape.schema.clone())))
        }
        Answer::List(shape) => {
            let items = ArrayBuilder::new().items(shape.schema.clone());
            let next = SchemaType::from_iter([Type::String, Type::Null]);
            let list = ObjectBuilder::new()
                .property("items", items)
                .property("next", ObjectBuilder::new().schema_type(next))
                .required("items")
                .required("next");
            let schema: Schema = list.build().into();
            built.description("A page.").content(JSON, Content::new(Some(schema)))
        }
        Answer::Other(media_type) => {
            let text = ObjectBuilder::new().schema_type(Type::String);
            built.description("A stream.").content(*media_type, Content::new(Some(text)))
        }
    }
    .build()
}
