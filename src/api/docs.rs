//! A page that lists every route with what it needs and takes. No scripts, no inline styles.

use std::fmt::Write as _;

use axum::http::header;
use axum::response::{Html, IntoResponse, Response};

use super::document::needs;
use super::route::{Answer, Route};

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn schema_json(schema: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(schema).map(|text| escape(&text)).unwrap_or_default()
}

/// The page of these routes.
pub(super) fn page(routes: &[Route]) -> String {
    let mut html = String::from(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>API · Portolan</title><link rel=\"stylesheet\" href=\"/static/app.css\"></head>\
         <body><main><h1>JSON API</h1><p>Send a name and password (or token) as HTTP Basic, or a \
         personal token as Bearer. The same as <a href=\"/api/v1/openapi.json\">OpenAPI 3.1</a>.\
         </p>",
    );
    for route in routes {
        show(&mut html, route);
    }
    html.push_str("<h2>Bodies</h2>");
    let mut components: Vec<_> = routes
        .iter()
        .flat_map(|route| {
            let answer = match &route.answer {
                Answer::One(shape) | Answer::List(shape) => Some(shape),
                Answer::Nothing | Answer::Other(_) => None,
            };
            route.body.iter().map(|body| &body.shape).chain(answer)
        })
        .flat_map(|shape| shape.components.iter())
        .collect();
    components.sort_by(|a, b| a.0.cmp(&b.0));
    components.dedup_by(|a, b| a.0 == b.0);
    for (name, schema) in components {
        let name = escape(name);
        let _ = write!(
            html,
            "<details id=\"{name}\"><summary>{name}</summary><pre>{}</pre></details>",
            schema_json(schema)
        );
    }
    html.push_str("</main></body></html>");
    html
}

fn link(shape: &super::route::Shape) -> String {
    let name = shape.components.first().map_or("", |(name, _)| name.as_str());
    format!("<a href=\"#{0}\">{0}</a>", escape(name))
}

fn show(html: &mut String, route: &Route) {
    let _ = write!(
        html,
        "<section id=\"{}\"><h3><code>{} {}</code></h3><p>{}. {} {}</p>",
        route.id,
        route.method,
        escape(route.path),
        escape(route.summary),
        escape(&needs(route.access)),
        escape(route.notes),
    );
    if !route.query.is_empty() {
        html.push_str("<p>Query:");
        for parameter in &route.query {
            let _ = write!(html, " <code>{}</code>", escape(&parameter.name));
        }
        html.push_str("</p>");
    }
    if let Some(body) = &route.body {
        let _ = write!(html, "<p>Takes {}.</p>", link(&body.shape));
    }
    let answer = match &route.answer {
        Answer::Nothing => "nothing".to_owned(),
        Answer::One(shape) => link(shape),
        Answer::List(shape) => format!("{{items, next}} of {}", link(shape)),
        Answer::Other(media_type) => escape(media_type),
    };
    let _ = write!(html, "<p>Answers {} with {answer}.</p></section>", route.status);
}

/// The page as an answer. It needs nothing from elsewhere.
pub(super) fn answer(page: &'static str) -> Response {
    let policy = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'";
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(page)).into_response()
}
