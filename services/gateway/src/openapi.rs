//! The OpenAPI 3.1 document, made from the routes and the rules that they obey.

mod example;
mod integers;
mod problems;

use std::collections::BTreeMap;

use bistro_core::{ErrorCode, kinds};
use http::Method;
use serde_json::Value;
use utoipa::{
    OpenApi,
    openapi::{
        self, HeaderBuilder, ObjectBuilder, Ref, RefOr, Required, Response, ResponseBuilder,
        content::{Content, ContentBuilder},
        path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem},
        request_body::RequestBody,
        schema::{AnyOfBuilder, Schema, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use example::Fields;
pub use problems::error_catalogue;

use crate::{
    dto::{AUDITED_ROLES, ActiveDeliveryState, OrderStates, id_of},
    edge::{
        ProblemDetails,
        rules::{self, Access},
    },
    routes,
};

/// What is answered with its version as the entity tag.
const TAGGED: &[&str] = &[
    "Restaurant",
    "RestaurantMenu",
    "Menu",
    "Item",
    "OptionGroup",
    "Ingredient",
    "Order",
    "Payment",
    "Ticket",
    "Station",
    "Courier",
    "Delivery",
    "User",
    "ApiKey",
    "Invitation",
    "Rating",
    "AllergyProfile",
];
/// The security scheme's name.
const BEARER: &str = "bearer";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Bistro",
        version = "1",
        description = "The public API of a Bistro platform.\n\n\
            Errors are problem details (RFC 9457) with a stable `code`. Money is whole minor units \
            and an ISO 4217 code; times are RFC 3339, UTC. Repeat a request that may have been lost \
            with the same `Idempotency-Key`. A key counts for one operation on one path: there, with \
            another body, it is refused (`idempotency_key_reused`); on another path it names another \
            request, which is carried out. A request that was refused, or found nothing to change, is \
            not remembered: repeated, it is judged anew. Lists come in pages: send `next_cursor` back as \
            `cursor`. What can be edited has an `ETag`; send it back as `If-Match`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    servers((url = "/", description = "The platform that shows this document")),
    components(schemas(ProblemDetails<'_>, ActiveDeliveryState, OrderStates)),
    tags(
        (name = "users", description = "People: registered, shown, changed, erased"),
        (name = "sessions", description = "Sessions and passwords"),
        (name = "api-keys", description = "Keys for programs that speak for a user"),
        (name = "staff", description = "Who works for a restaurant"),
        (name = "restaurants", description = "Restaurants and their menus"),
        (name = "menus", description = "Menus, sections, options and ingredients"),
        (name = "items", description = "Items of menus, and stock"),
        (name = "orders", description = "Quotes, orders and their events"),
        (name = "payments", description = "Payments, refunds and the ledger"),
        (name = "tickets", description = "What kitchens have to cook"),
        (name = "stations", description = "Where kitchens cook, and how busy they are"),
        (name = "deliveries", description = "Couriers and deliveries"),
        (name = "operations", description = "For whoever runs the platform"),
    ),
)]
struct Frame;

/// The OpenAPI 3.1 document of the public API, as JSON with a line end.
#[must_use]
pub fn openapi() -> String {
    let mut document = Frame::openapi();
    document.merge(routes::described().into_openapi());
    complete(&mut document);
    // Everything in it has text keys, so it always can be written.
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// Adds what follows from the rules, so that no handler has to say it again.
fn complete(document: &mut openapi::OpenApi) {
    let components = document.components.get_or_insert_default();
    components.responses.insert("Problem".to_owned(), RefOr::T(problem()));
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An access token from `POST /api/v1/sessions`, or an API key from `POST /api/v1/me/api-keys`"));
    components
        .security_schemes
        .insert(BEARER.to_owned(), RefOr::T(SecurityScheme::Http(bearer.build())));
    integers::correct_all(&mut components.schemas);
    if let Some(RefOr::T(Schema::Object(codes))) = components.schemas.get_mut("ErrorCode") {
        codes.description = Some(codes_described());
    }
    // Schemas are read as JSON, so that one function knows all their forms.
    let read = serde_json::to_value(&*document).unwrap_or_default();
    let mut refusals = BTreeMap::new();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            describe(&method, path, operation);
            name_problems(&method, path, operation, &mut refusals);
            give_examples(operation, &read);
        }
    }
    document.components.get_or_insert_default().responses.extend(refusals);
}

/// Says what an operation may be refused with; `named` are the responses that say so.
fn name_problems(
    method: &Method,
    path: &str,
    operation: &mut Operation,
    named: &mut BTreeMap<String, RefOr<Response>>,
) {
    for (status, codes) in problems::codes(method, path, operation) {
        let name = problems::name(&codes);
        let problem = RefOr::Ref(Ref::from_response_name(&name));
        operation.responses.responses.entry(status.to_string()).or_insert(problem);
        named.entry(name).or_insert_with(|| RefOr::T(problems::response(&codes)));
    }
    let problem = RefOr::Ref(Ref::from_response_name("Problem"));
    operation.responses.responses.insert("default".to_owned(), problem);
}

/// The operations of a path.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, &mut item.get),
        (Method::POST, &mut item.post),
        (Method::PUT, &mut item.put),
        (Method::PATCH, &mut item.patch),
        (Method::DELETE, &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// The catalogue of errors in a few lines each.
fn codes_described() -> String {
    let line = |code: &ErrorCode| {
        format!("* `{code}` ({}): {} {}", code.http(), code.meaning(), code.remedy())
    };
    let lines: Vec<String> = ErrorCode::ALL.iter().map(line).collect();
    format!("What went wrong, for programs.\n\n{}", lines.join("\n"))
}

/// Gives an example to every parameter and every JSON body that has none.
fn give_examples(operation: &mut Operation, document: &Value) {
    for parameter in operation.parameters.iter_mut().flatten() {
        exemplify(parameter, document);
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        if may_be_left_out(body, document) {
            body.required = Some(Required::False);
        }
        for content in body.content.values_mut() {
            give_example(content, document, Fields::Required);
        }
    }
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            for (kind, content) in &mut response.content {
                if kind == "text/event-stream" {
                    describe_events(content);
                }
                give_example(content, document, Fields::All);
            }
        }
    }
}

/// Gives an example to a parameter that has none, nor has its schema.
fn exemplify(parameter: &mut RefOr<Parameter>, document: &Value) {
    let RefOr::T(parameter) = parameter else { return };
    let Ok(read) = serde_json::to_value(&*parameter) else { return };
    let schema = &read["schema"];
    if read["example"].is_null() && schema["examples"].is_null() {
        let example = example::of(schema, document, Fields::All);
        *parameter = ParameterBuilder::from(parameter.clone()).example(Some(example)).build();
    }
}

/// Whether nothing in `body` has to be there: then it need not come at all.
fn may_be_left_out(body: &RequestBody, document: &Value) -> bool {
    let content = body.content.get("application/json").map(serde_json::to_value);
    let Some(Ok(content)) = content else { return false };
    let named = content.pointer("/schema/$ref").and_then(Value::as_str);
    let schema = named.and_then(|name| document.pointer(name.trim_start_matches('#')));
    schema.is_some_and(|schema| schema.get("required").is_none())
}

/// Describes each of a stream's events, as they are read (WHATWG HTML, "Server-sent events").
fn describe_events(content: &mut RefOr<Content>) {
    let RefOr::T(content) = content else { return };
    let text =
        |about: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(about));
    let event = ObjectBuilder::new()
        .description(Some("One event"))
        .property("id", text("Send it as `Last-Event-ID` to go on after this event"))
        .property("event", text("What the event is about"))
        .property("data", text("JSON"))
        .required("data");
    content.schema = Some(event.into());
}

fn give_example(content: &mut RefOr<Content>, document: &Value, fields: Fields) {
    let RefOr::T(content) = content else { return };
    if content.example.is_some() || !content.examples.is_empty() {
        return;
    }
    let schema = content.schema.as_ref().and_then(|schema| serde_json::to_value(schema).ok());
    content.example = schema.map(|schema| example::of(&schema, document, fields));
}

fn describe(method: &Method, path: &str, operation: &mut Operation) {
    let mut parameters = path_parameters(path);
    if rules::needs_key(method, path) {
        parameters.push(header(
            "Idempotency-Key",
            "A text of your own, 1 to 255 printable ASCII characters: new for each new request, the same when you repeat one. It counts for this operation on this path",
            "5f0c2d9a-order-1",
            Some("^[ -~]{1,255}$"),
        ));
    }
    if rules::needs_version(method, path) {
        parameters.push(header(
            "If-Match",
            "The ETag of what you read; 412 if it has changed since",
            "\"3\"",
            Some("^\"[0-9]{1,18}\"$"),
        ));
    }
    let own = operation.parameters.get_or_insert_default();
    own.iter_mut().for_each(allow_empty);
    own.iter_mut().for_each(describe_page);
    own.splice(0..0, parameters.into_iter().map(RefOr::T));
    operation.security = Some(match rules::access(method, path) {
        Access::Protected => vec![SecurityRequirement::new(BEARER, [""; 0])],
        Access::Public | Access::Credentials | Access::Signed => Vec::new(),
    });
    if rules::refuses_keys(method, path) {
        let refusal = "An API key is refused here (403).";
        let described = operation.description.take().filter(|text| !text.is_empty());
        operation.description = Some(match described {
            Some(text) => format!("{text}\n\n{refusal}"),
            None => refusal.to_owned(),
        });
    }
    let mut has_tag = false;
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response {
            has_tag |= describe_headers(status, response);
        }
    }
    if has_tag && *method == Method::GET && rules::revalidates(path) {
        let mut known = header(
            "If-None-Match",
            "ETags of what you have; 304 if one is this one's",
            "\"3\"",
            None,
        );
        known.required = Required::False;
        operation.parameters.get_or_insert_default().push(RefOr::T(known));
        let same = ResponseBuilder::new().description("What you have is what is here").build();
        operation.responses.responses.insert("304".to_owned(), RefOr::T(same));
    }
}

/// Says the same of the parameters that all lists have.
///
/// A cursor is good for one list only. What a tool can send to any of them is the empty one, so it is
/// the first example; the other shows what one looks like.
fn describe_page(parameter: &mut RefOr<Parameter>) {
    let RefOr::T(parameter) = parameter else { return };
    if parameter.parameter_in != ParameterIn::Query {
        return;
    }
    match parameter.name.as_str() {
        "limit" => {
            *parameter = ParameterBuilder::from(parameter.clone()).example(Some(50.into())).build();
        }
        "cursor" => {
            let about = "The `next_cursor` of the page before, such as `b3BhcXVl`, and nothing else: \
                what is in it is the platform's business. Left out or empty: the first page";
            let schema = ObjectBuilder::new().schema_type(Type::String).examples(["", "b3BhcXVl"]);
            *parameter = ParameterBuilder::from(parameter.clone())
                .description(Some(about))
                .schema(Some(schema))
                .build();
        }
        _ => {}
    }
}

/// Says of an optional parameter of the query that it may be left empty, as `?state=`, where its
/// schema would not.
fn allow_empty(parameter: &mut RefOr<Parameter>) {
    let RefOr::T(parameter) = parameter else { return };
    let is_optional_query =
        parameter.parameter_in == ParameterIn::Query && parameter.required != Required::True;
    let is_strict = match &parameter.schema {
        Some(RefOr::Ref(_)) => true,
        Some(RefOr::T(Schema::Object(schema))) => {
            let is_text = serde_json::to_value(&schema.schema_type)
                .is_ok_and(|kind| kind.to_string().contains("string"));
            is_text && (schema.format.is_some() || schema.enum_values.is_some())
        }
        _ => false,
    };
    if !is_optional_query || !is_strict {
        return;
    }
    if let Some(schema) = parameter.schema.take() {
        let empty = ObjectBuilder::new().schema_type(Type::String).max_length(Some(0));
        let either = AnyOfBuilder::new().item(schema).item(empty).build();
        parameter.schema = Some(RefOr::T(Schema::AnyOf(either)));
    }
}

/// Names the headers of `response`; true if an entity tag is among them.
fn describe_headers(status: &str, response: &mut Response) -> bool {
    let has_tag = response.content.values().any(|content| match content {
        RefOr::T(Content { schema: Some(RefOr::Ref(schema)), .. }) => {
            schema.ref_location.rsplit('/').next().is_some_and(|name| TAGGED.contains(&name))
        }
        _ => false,
    });
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let mut add = |name: &str, about: &str| {
        let header = HeaderBuilder::new().schema(Some(text())).description(Some(about));
        response.headers.insert(name.to_owned(), RefOr::T(header.build()));
    };
    add("X-Request-Id", "Names this request in the platform's logs");
    if status == "201" {
        add("Location", "Where it is from now on");
    }
    add(
        "RateLimit",
        "How many requests are left, and the seconds until all are again (draft-ietf-httpapi-ratelimit-headers-10); not for the operator",
    );
    add("RateLimit-Policy", "How many requests are allowed in how many seconds");
    if has_tag {
        add("ETag", "Its version in quotes");
    }
    has_tag
}

fn problem() -> Response {
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new()
        .description("What went wrong (RFC 9457). 429 and 503 have Retry-After.")
        .content("application/problem+json", body)
        .build()
}

fn header(name: &str, about: &str, example: &str, pattern: Option<&str>) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::True)
        .description(Some(about))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).pattern(pattern)))
        .example(Some(example.into()))
        .build()
}

/// The parameters between braces in `path`.
fn path_parameters(path: &str) -> Vec<Parameter> {
    let segments: Vec<&str> = path.split('/').collect();
    segments
        .windows(2)
        .filter_map(|pair| {
            let name = pair[1].strip_prefix('{')?.strip_suffix('}')?;
            Some(path_parameter(name, pair[0]))
        })
        .collect()
}

fn path_parameter(name: &str, collection: &str) -> Parameter {
    let (schema, about): (RefOr<Schema>, &str) = match (name, collection) {
        ("line", _) => (
            ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).examples([0]).into(),
            "The item's place on the ticket, from 0",
        ),
        ("role", _) => (
            ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some(AUDITED_ROLES))
                .examples(["orders"])
                .into(),
            "The role",
        ),
        (_, "restaurants") => (id_of::<kinds::Restaurant>().into(), "The restaurant"),
        (_, "items") => (id_of::<kinds::Item>().into(), "The item"),
        (_, "menus") => (id_of::<kinds::Menu>().into(), "The menu"),
        (_, "option-groups") => (id_of::<kinds::OptionGroup>().into(), "The option group"),
        (_, "choices") => (id_of::<kinds::Choice>().into(), "The choice"),
        (_, "ingredients") => (id_of::<kinds::Ingredient>().into(), "The ingredient"),
        (_, "tickets") => (id_of::<kinds::Ticket>().into(), "The ticket"),
        (_, "stations") => (id_of::<kinds::Station>().into(), "The station"),
        (_, "deliveries") => (id_of::<kinds::Delivery>().into(), "The delivery"),
        (_, "couriers") => (id_of::<kinds::Courier>().into(), "The courier"),
        ("user_id", _) | (_, "users") => (id_of::<kinds::User>().into(), "The user"),
        (_, "sessions") => (id_of::<kinds::Session>().into(), "The session"),
        (_, "api-keys") => (id_of::<kinds::ApiKey>().into(), "The API key"),
        (_, "invitations") => (id_of::<kinds::Invitation>().into(), "The invitation"),
        (_, "dead-letters") => (
            ObjectBuilder::new()
                .schema_type(Type::String)
                .min_length(Some(3))
                .examples(["kitchen.events:2f9c4e0b1a7d48e3906b5c1f0e8d7a62:0"])
                .into(),
            "The dead letter",
        ),
        _ => (id_of::<kinds::Order>().into(), "The order"),
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(about))
        .schema(Some(schema))
        .build()
}
