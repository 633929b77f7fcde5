//! What each role owns is made, read, changed, listed and deleted over gRPC by a client that knows
//! only what reflection tells; and who may ask there.

use bistro_testkit::wait;
use serde_json::{Value, json};

use crate::{
    accounts::my_id,
    people::{PASSWORD, Person, Restaurant, fresh, get, text},
    platform::{Platform, SOON, Topology, on_every_topology},
    reflection::{Reflected, open_to_people},
    rude::{operator, token},
};

on_every_topology!(
    people_come_through_the_gateway,
    accounts_over_grpc,
    members_over_grpc,
    invitations_over_grpc,
    api_keys_over_grpc,
    a_restaurant_over_grpc,
    what_a_menu_is_made_of_over_grpc,
    orders_over_grpc,
    payments_over_grpc,
    kitchens_over_grpc,
    couriers_over_grpc,
);

/// The operator's token.
pub(crate) fn root(platform: &Platform) -> String {
    operator(platform).trim_start_matches("Bearer ").to_owned()
}

/// `fields` with those of `more`.
fn with(fields: &Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("{more} has no fields") };
    let mut all = fields.clone();
    for (name, value) in more {
        all[name] = value;
    }
    all
}

/// The rows of an answer in which `field` is `value`.
fn rows<'a>(answer: &'a Value, rows: &str, field: &str, value: &Value) -> Vec<&'a Value> {
    let rows = answer[rows].as_array().expect("rows");
    rows.iter().filter(|row| row[field] == *value).collect()
}

async fn people_come_through_the_gateway(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let ada = token(platform, &ada).await;
    let catalog = Reflected::of(platform, "catalog").await;
    let list = json!({ "page": { "limit": 1 } });
    assert_eq!(catalog.refused("", "ListRestaurants", &list).await, "unauthenticated");
    assert_eq!(catalog.refused(&ada, "ListRestaurants", &list).await, "permission_denied");
    catalog.told(&root(platform), "ListRestaurants", &list).await;
    let accounts = Reflected::of(platform, "accounts").await;
    let guess = json!({ "email": "ada@example.org", "password": "a guess" });
    assert_eq!(accounts.refused("", "LogIn", &guess).await, "unauthenticated");
    // Where they are asked in, they are answered.
    let open = open_to_people(topology).await;
    Reflected::of(open, "catalog").await.told("", "ListRestaurants", &list).await;
    let accounts = Reflected::of(open, "accounts").await;
    assert_eq!(accounts.refused("", "LogIn", &guess).await, "wrong_credentials");
}

async fn accounts_over_grpc(topology: Topology) {
    let platform = open_to_people(topology).await;
    let accounts = Reflected::of(platform, "accounts").await;
    let email = format!("{}@example.org", fresh("grpc"));
    let new = json!({ "email": email, "password": PASSWORD, "name": "Ada" });
    let made = accounts.told("", "Register", &new).await;
    let id = json!({ "id": made["id"] });
    let login = json!({ "email": email, "password": PASSWORD, "client": "reflection" });
    let first = accounts.told("", "LogIn", &login).await;
    let second = accounts.told("", "LogIn", &login).await;
    let (ada, root) = (text(&first, "/access_token"), root(platform));

    let read = accounts.told(ada, "GetUser", &id).await;
    assert_eq!((&read["email"], &read["name"]), (&json!(email), &json!("Ada")));
    let change = json!({ "version": read["version"], "email": email, "name": "Ada Lovelace" });
    let changed = accounts.told(ada, "UpdateUser", &with(&id, change.clone())).await;
    assert_eq!(changed["name"], "Ada Lovelace");
    let stale = with(&id, change);
    assert_eq!(accounts.refused(ada, "UpdateUser", &stale).await, "version_mismatch");
    let search = json!({ "email_prefix": email, "page": { "limit": 10 } });
    let found = accounts.told(&root, "ListUsers", &search).await;
    assert_eq!(rows(&found, "users", "id", &made["id"]).len(), 1, "{found}");
    assert_eq!(accounts.refused(ada, "ListUsers", &search).await, "permission_denied");

    let sessions = accounts.told(ada, "ListSessions", &json!({})).await;
    assert_eq!(sessions["sessions"].as_array().map(Vec::len), Some(2), "{sessions}");
    let other = rows(&sessions, "sessions", "current", &json!(false))[0];
    accounts.told(ada, "RevokeSession", &json!({ "id": other["id"] })).await;
    let refresh = json!({ "refresh_token": second["refresh_token"] });
    assert_eq!(accounts.refused("", "Refresh", &refresh).await, "unauthenticated");

    // One that an administrator makes.
    let email = format!("{}@example.org", fresh("grpc"));
    let new = with(&new, json!({ "email": email, "roles": ["courier"] }));
    assert_eq!(accounts.refused(ada, "CreateUser", &new).await, "permission_denied");
    accounts.told(&root, "CreateUser", &new).await;

    accounts.told(ada, "DeleteUser", &id).await;
    assert_eq!(accounts.told(&root, "GetUser", &id).await["erased"], true);
}

async fn members_over_grpc(topology: Topology) {
    let platform = open_to_people(topology).await;
    let accounts = Reflected::of(platform, "accounts").await;
    let restaurant = Restaurant::open(platform, &[]).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let eve = token(platform, &Person::new(platform, "eve", &[]).await).await;
    let (owner, root) = (token(platform, &restaurant.owner).await, root(platform));
    let here = json!({ "restaurant_id": restaurant.id });
    let member = with(&here, json!({ "user_id": my_id(&ada.client).await }));
    let of_role = |role: &str| with(&member, json!({ "role": role }));

    // One call makes a member and changes one; owners change those who are members.
    let unasked = accounts.refused(&owner, "AddMembership", &of_role("chef")).await;
    assert_eq!(unasked, "permission_denied");
    let made = accounts.told(&root, "AddMembership", &of_role("chef")).await;
    assert_eq!(accounts.told(&owner, "GetMembership", &member).await, made);
    assert_eq!((&made["user_id"], &made["role"]), (&member["user_id"], &json!("chef")));
    let changed = accounts.told(&owner, "AddMembership", &of_role("manager")).await;
    assert_eq!(changed["role"], "manager");
    let listed = accounts.told(&owner, "ListMembers", &here).await;
    assert_eq!(rows(&listed, "members", "user_id", &member["user_id"]), [&changed], "{listed}");
    for (call, body) in [
        ("AddMembership", &of_role("owner")),
        ("GetMembership", &member),
        ("ListMembers", &here),
        ("RemoveMembership", &member),
    ] {
        assert_eq!(accounts.refused(&eve, call, body).await, "permission_denied", "{call}");
    }
    for _ in 0..2 {
        accounts.told(&owner, "RemoveMembership", &member).await;
    }
    assert_eq!(accounts.refused(&owner, "GetMembership", &member).await, "not_found");
    let listed = accounts.told(&owner, "ListMembers", &here).await;
    assert!(rows(&listed, "members", "user_id", &member["user_id"]).is_empty(), "{listed}");
}

async fn invitations_over_grpc(topology: Topology) {
    let platform = open_to_people(topology).await;
    let accounts = Reflected::of(platform, "accounts").await;
    let restaurant = Restaurant::open(platform, &[]).await;
    let owner = token(platform, &restaurant.owner).await;
    let eve = token(platform, &Person::new(platform, "eve", &[]).await).await;
    let here = json!({ "restaurant_id": restaurant.id });
    let email = format!("{}@example.org", fresh("grpc"));
    let new = with(&here, json!({ "email": email, "role": "chef" }));
    assert_eq!(accounts.refused(&eve, "CreateInvitation", &new).await, "permission_denied");
    let made = accounts.told(&owner, "CreateInvitation", &new).await;
    assert!(!text(&made, "/token").is_empty(), "whoever made it brings it");
    let id = json!({ "id": made["id"] });

    let read = accounts.told(&owner, "GetInvitation", &id).await;
    assert_eq!(read, with(&made, json!({ "token": "" })), "nobody else is told the token");
    let sooner = made["expires_at_ms"].as_i64().expect("an end") - 60_000;
    let change = json!({ "version": read["version"], "role": "manager", "expires_at_ms": sooner });
    let change = with(&id, change);
    for (call, body) in
        [("GetInvitation", &id), ("UpdateInvitation", &change), ("DeleteInvitation", &id)]
    {
        assert_eq!(accounts.refused(&eve, call, body).await, "not_found", "{call}");
    }
    let changed = accounts.told(&owner, "UpdateInvitation", &change).await;
    assert_eq!((&changed["role"], &changed["expires_at_ms"]), (&json!("manager"), &json!(sooner)));
    assert!(changed["version"].as_i64() > read["version"].as_i64(), "{changed}");
    let stale = accounts.refused(&owner, "UpdateInvitation", &change).await;
    assert_eq!(stale, "version_mismatch");
    let listed = accounts.told(&owner, "ListInvitations", &here).await;
    assert_eq!(rows(&listed, "invitations", "id", &made["id"]), [&changed], "{listed}");
    assert_eq!(accounts.refused(&eve, "ListInvitations", &here).await, "permission_denied");
    for _ in 0..2 {
        accounts.told(&owner, "DeleteInvitation", &id).await;
    }
    assert_eq!(accounts.refused(&owner, "GetInvitation", &id).await, "not_found");
    let listed = accounts.told(&owner, "ListInvitations", &here).await;
    assert_eq!(listed["invitations"], json!([]));
}

async fn api_keys_over_grpc(topology: Topology) {
    let platform = open_to_people(topology).await;
    let accounts = Reflected::of(platform, "accounts").await;
    let person = Person::new(platform, "ada", &[]).await;
    let of_ada = json!({ "user_id": my_id(&person.client).await });
    let ada = token(platform, &person).await;
    let eve = token(platform, &Person::new(platform, "eve", &[]).await).await;
    let new = json!({ "name": "Till", "roles": ["customer"] });
    let made = accounts.told(&ada, "CreateApiKey", &new).await;
    assert_eq!((&made["user_id"], &made["roles"]), (&of_ada["user_id"], &new["roles"]));
    assert!(text(&made, "/text").starts_with("bistro_key_"), "whoever made it is told the key");
    let id = json!({ "id": made["id"] });

    let read = accounts.told(&ada, "GetApiKey", &id).await;
    assert_eq!(read, with(&made, json!({ "text": "" })), "and is told it once");
    let change = with(&id, json!({ "version": read["version"], "name": "Another till" }));
    for (call, body) in [("GetApiKey", &id), ("UpdateApiKey", &change), ("DeleteApiKey", &id)] {
        assert_eq!(accounts.refused(&eve, call, body).await, "not_found", "{call}");
    }
    let changed = accounts.told(&ada, "UpdateApiKey", &change).await;
    assert_eq!(changed["name"], "Another till");
    assert!(changed["version"].as_i64() > read["version"].as_i64(), "{changed}");
    assert_eq!(accounts.refused(&ada, "UpdateApiKey", &change).await, "version_mismatch");
    // One's own, or those of somebody whom one looks after.
    for (who, whose) in [(&ada, &json!({})), (&root(platform), &of_ada)] {
        let listed = accounts.told(who, "ListApiKeys", whose).await;
        assert_eq!(rows(&listed, "keys", "id", &made["id"]), [&changed], "{listed}");
    }
    assert_eq!(accounts.refused(&eve, "ListApiKeys", &of_ada).await, "permission_denied");
    for _ in 0..2 {
        accounts.told(&ada, "DeleteApiKey", &id).await;
    }
    assert_eq!(accounts.refused(&ada, "GetApiKey", &id).await, "not_found");
    let listed = accounts.told(&ada, "ListApiKeys", &json!({})).await;
    assert_eq!(listed["keys"], json!([]));
}

async fn a_restaurant_over_grpc(topology: Topology) {
    let platform = open_to_people(topology).await;
    let catalog = Reflected::of(platform, "catalog").await;
    let accounts = Reflected::of(platform, "accounts").await;
    let owner = Person::new(platform, "owner", &["restaurateur"]).await;
    let name = fresh("Chez Reflection");
    let new = json!({ "name": name, "currency": "GBP", "time_zone": "Europe/London" });
    let stranger = token(platform, &owner).await;
    let made = catalog.told(&stranger, "CreateRestaurant", &new).await;
    let id = json!({ "id": made["id"] });
    // That the maker owns it is told to accounts after the commit.
    accounts
        .until((&stranger, "GetMe", &json!({})), |me| {
            rows(me, "memberships", "restaurant_id", &made["id"]).len() == 1
        })
        .await;
    let owner = token(platform, &owner).await;

    let read = catalog.told(&owner, "GetRestaurant", &id).await;
    assert_eq!(read["name"], name.as_str());
    let profile = with(&read["profile"], json!({ "prep_minutes": 35 }));
    let change = with(&id, json!({ "version": read["version"], "profile": profile }));
    let changed = catalog.told(&owner, "UpdateRestaurant", &change).await;
    assert_eq!(changed["profile"]["prep_minutes"], 35, "{changed}");
    assert_eq!(catalog.refused(&owner, "UpdateRestaurant", &change).await, "version_mismatch");
    let list = json!({ "name": name, "page": { "limit": 10 } });
    let found = catalog.told("", "ListRestaurants", &list).await;
    assert_eq!(rows(&found, "restaurants", "id", &made["id"]).len(), 1, "{found}");
    catalog.told(&owner, "DeleteRestaurant", &id).await;
    assert_eq!(catalog.refused("", "GetRestaurant", &id).await, "not_found");
}

/// Something that belongs to a restaurant: `name` as in `Create<name>`.
struct Thing {
    name: &'static str,
    /// The field of its list.
    rows: &'static str,
    /// What it is made of, beside the restaurant.
    new: Value,
    /// What it is changed to, beside its id and version.
    changed: Value,
}

/// Makes, reads, changes, lists and deletes a thing.
async fn comes_and_goes(role: &Reflected, token: &str, restaurant: &str, thing: &Thing) {
    let Thing { name, rows: field, new, changed } = thing;
    let of = json!({ "restaurant_id": restaurant });
    let made = role.told(token, &format!("Create{name}"), &with(new, of.clone())).await;
    let id = json!({ "id": made["id"] });
    let read = role.told(token, &format!("Get{name}"), &id).await;
    assert_eq!((&read["id"], &read["name"]), (&made["id"], &made["name"]), "{name}");
    let change = with(&with(changed, id.clone()), json!({ "version": read["version"] }));
    let after = role.told(token, &format!("Update{name}"), &change).await;
    assert_eq!(after["name"], "Another", "{name}");
    assert!(after["version"].as_i64() > read["version"].as_i64(), "{name}: {after}");
    let stale = role.refused(token, &format!("Update{name}"), &change).await;
    assert_eq!(stale, "version_mismatch", "{name}");
    let list = format!("List{name}s");
    let listed = role.told(token, &list, &of).await;
    let row = rows(&listed, field, "id", &made["id"]);
    assert_eq!(row.len(), 1, "{name}: {listed}");
    assert_eq!((&row[0]["name"], &row[0]["version"]), (&after["name"], &after["version"]));
    for _ in 0..2 {
        role.told(token, &format!("Delete{name}"), &id).await;
    }
    assert_eq!(role.refused(token, &format!("Get{name}"), &id).await, "not_found", "{name}");
    let listed = role.told(token, &list, &of).await;
    assert!(rows(&listed, field, "id", &made["id"]).is_empty(), "{name}: {listed}");
}

async fn what_a_menu_is_made_of_over_grpc(topology: Topology) {
    let platform = open_to_people(topology).await;
    let catalog = Reflected::of(platform, "catalog").await;
    let restaurant = Restaurant::open(platform, &[]).await;
    let owner = token(platform, &restaurant.owner).await;
    let choices = json!([{ "name": "Mild", "price_minor": 0 }]);
    let group = |name: &str| json!({ "name": name, "min": 0, "max": 1, "choices": choices });
    let things = [
        Thing {
            name: "Menu",
            rows: "menus",
            new: json!({ "content": { "name": "Lunch" } }),
            changed: json!({ "content": { "name": "Another" } }),
        },
        Thing {
            name: "Item",
            rows: "items",
            new: json!({ "name": "Naan", "price_minor": 250 }),
            changed: json!({ "name": "Another", "price_minor": 300, "available": true }),
        },
        Thing {
            name: "OptionGroup",
            rows: "groups",
            new: json!({ "content": group("Heat") }),
            changed: json!({ "content": group("Another") }),
        },
        Thing {
            name: "Ingredient",
            rows: "ingredients",
            new: json!({ "name": "Salt" }),
            changed: json!({ "name": "Another" }),
        },
    ];
    for thing in &things {
        comes_and_goes(&catalog, &owner, &restaurant.id, thing).await;
    }
}

/// An order of one dish that is picked up, as told over gRPC once it is confirmed.
async fn ordered(orders: &Reflected, restaurant: &Restaurant, customer: &str) -> Value {
    let placing = json!({
        "quote": quote(orders, restaurant, customer, 1).await,
        "payment_method": "card_ok", "wait_ms": 5000,
    });
    let placed = orders.told(customer, "PlaceOrder", &placing).await;
    let id = json!({ "id": placed["id"] });
    orders.until((customer, "GetOrder", &id), |order| order["state"] == "confirmed").await
}

/// The token of a quote.
async fn quote(orders: &Reflected, restaurant: &Restaurant, customer: &str, many: u32) -> Value {
    let lines = json!([{ "item_id": restaurant.items[0].1, "quantity": many }]);
    let basket = json!({ "restaurant_id": restaurant.id, "fulfilment": "pick_up", "lines": lines });
    orders.told(customer, "CreateQuote", &basket).await["token"].clone()
}

/// Has the order accepted, cooked and handed over.
async fn eaten(platform: &Platform, restaurant: &Restaurant, order: &Value) {
    let orders = Reflected::of(platform, "orders").await;
    let owner = token(platform, &restaurant.owner).await;
    let id = json!({ "id": order["id"] });
    restaurant.cook(order).await;
    orders.until((&owner, "GetOrder", &id), |order| order["state"] == "ready").await;
    orders.told(&owner, "HandOver", &id).await;
}

async fn orders_over_grpc(topology: Topology) {
    let platform = open_to_people(topology).await;
    let orders = Reflected::of(platform, "orders").await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let ada = token(platform, &Person::new(platform, "ada", &[]).await).await;
    let eve = token(platform, &Person::new(platform, "eve", &[]).await).await;
    let order = ordered(&orders, &restaurant, &ada).await;
    let id = json!({ "id": order["id"] });
    assert_eq!(orders.refused(&eve, "GetOrder", &id).await, "not_found");

    let more = quote(&orders, &restaurant, &ada, 3).await;
    let change = json!({ "version": order["sequence"], "quote": more, "wait_ms": 5000 });
    orders.told(&ada, "ModifyOrder", &with(&id, change)).await;
    let settled = |order: &Value| order["changing"] == false && order["revision"] == 1;
    let changed = orders.until((&ada, "GetOrder", &id), settled).await;
    assert_eq!(changed["total"]["amount_minor"], 750, "{changed}");
    let listed = orders.told(&ada, "ListOrders", &json!({ "page": { "limit": 10 } })).await;
    assert_eq!(rows(&listed, "orders", "id", &order["id"]).len(), 1, "{listed}");
    let why = with(&id, json!({ "reason": "not hungry any more" }));
    orders.told(&ada, "CancelOrder", &why).await;
    orders.until((&ada, "GetOrder", &id), |order| order["state"] == "cancelled").await;

    // What a customer thinks of an order.
    let order = ordered(&orders, &restaurant, &ada).await;
    eaten(platform, &restaurant, &order).await;
    let of = json!({ "order_id": order["id"] });
    let opinion = |stars: u32| with(&of, json!({ "stars": stars, "comment": "Warm" }));
    orders
        .until((&ada, "GetOrder", &json!({ "id": order["id"] })), |order| {
            order["state"] == "completed"
        })
        .await;
    let rating = orders.told(&ada, "CreateRating", &opinion(4)).await;
    assert_eq!(orders.told(&ada, "GetRating", &of).await["stars"], 4);
    let change = with(&opinion(5), json!({ "version": rating["version"] }));
    assert_eq!(orders.told(&ada, "UpdateRating", &change).await["stars"], 5);
    assert_eq!(orders.refused(&ada, "UpdateRating", &change).await, "version_mismatch");
    let list = json!({ "restaurant_id": restaurant.id });
    let ratings = orders.told(&eve, "ListRatings", &list).await;
    assert_eq!((&ratings["count"], &ratings["stars"]), (&json!(1), &json!(5)), "{ratings}");
    orders.told(&ada, "DeleteRating", &of).await;
    assert_eq!(orders.refused(&ada, "GetRating", &of).await, "not_found");

    let allergies = json!({ "allergens": ["nuts"], "mode": "warn" });
    let profile = orders.told(&ada, "SetAllergyProfile", &allergies).await;
    assert_eq!(orders.told(&ada, "GetAllergyProfile", &json!({})).await, profile);
}

async fn payments_over_grpc(topology: Topology) {
    let platform = open_to_people(topology).await;
    let payments = Reflected::of(platform, "payments").await;
    let orders = Reflected::of(platform, "orders").await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let owner = token(platform, &restaurant.owner).await;
    let ada = token(platform, &Person::new(platform, "ada", &[]).await).await;
    let eve = token(platform, &Person::new(platform, "eve", &[]).await).await;
    // A payment is made by its order, and by nobody else.
    let order = ordered(&orders, &restaurant, &ada).await;
    let of = json!({ "order_id": order["id"] });
    assert_eq!(payments.refused(&ada, "Capture", &of).await, "permission_denied");
    assert_eq!(payments.refused(&eve, "GetPayment", &of).await, "not_found");
    eaten(platform, &restaurant, &order).await;
    let captured = |payment: &Value| payment["state"] == "captured";
    payments.until((&ada, "GetPayment", &of), captured).await;

    let tip = with(&of, json!({ "amount_minor": 100, "payment_method": "card_ok" }));
    payments.told(&ada, "AddTip", &tip).await;
    let tipped = |payment: &Value| payment["captured_minor"] == 350;
    payments.until((&ada, "GetPayment", &of), tipped).await;
    let refund = with(&of, json!({ "amount_minor": 50, "reason": "cold" }));
    payments.told(&owner, "Refund", &refund).await;
    let refunded = |payment: &Value| payment["refunded_minor"] == 50;
    payments.until((&owner, "GetPayment", &of), refunded).await;
    let here = json!({ "restaurant_id": restaurant.id });
    let listed = payments.told(&owner, "ListPayments", &here).await;
    assert_eq!(rows(&listed, "payments", "order_id", &order["id"]).len(), 1, "{listed}");
    assert_eq!(payments.refused(&ada, "ListPayments", &here).await, "permission_denied");
    let balances = payments.told(&owner, "GetBalances", &here).await;
    let imbalance = balances["imbalance"].as_array().expect("sums");
    assert!(!imbalance.is_empty(), "{balances}");
    assert!(imbalance.iter().all(|sum| sum["amount_minor"] == 0), "{balances}");
}

async fn kitchens_over_grpc(topology: Topology) {
    let platform = open_to_people(topology).await;
    let kitchen = Reflected::of(platform, "kitchen").await;
    let orders = Reflected::of(platform, "orders").await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let owner = token(platform, &restaurant.owner).await;
    let ada = token(platform, &Person::new(platform, "ada", &[]).await).await;
    let station = |name: &str| json!({ "name": name, "capacity": 2, "item_minutes": 10 });
    let grill = Thing {
        name: "Station",
        rows: "stations",
        new: json!({ "content": station("Grill") }),
        changed: json!({ "content": station("Another") }),
    };
    comes_and_goes(&kitchen, &owner, &restaurant.id, &grill).await;

    // A ticket is made by its order.
    let order = ordered(&orders, &restaurant, &ada).await;
    restaurant.accept(&order).await;
    let here = json!({ "restaurant_id": restaurant.id });
    let listed = kitchen
        .until((&owner, "ListTickets", &here), |tickets| {
            rows(tickets, "tickets", "order_id", &order["id"]).len() == 1
        })
        .await;
    let id = listed["tickets"][0]["id"].clone();
    let (one, line) = (json!({ "id": id }), json!({ "ticket_id": id, "line": 0 }));
    assert_eq!(kitchen.told(&owner, "GetTicket", &one).await["state"], "queued");
    let refused = kitchen.refused(&ada, "GetTicket", &one).await;
    assert!(matches!(refused.as_str(), "not_found" | "permission_denied"), "{refused}");
    for (step, state) in [
        ("Hold", "queued"),
        ("Fire", "queued"),
        ("Start", "in_preparation"),
        ("Bump", "ready"),
        ("Recall", "in_preparation"),
    ] {
        let ticket = kitchen.told(&owner, step, &line).await;
        assert_eq!(ticket["state"], state, "{step}: {ticket}");
    }
    let load = kitchen.told(&owner, "GetLoad", &here).await;
    assert!(load["latest_s"].as_u64() >= load["earliest_s"].as_u64(), "{load}");
}

async fn couriers_over_grpc(topology: Topology) {
    let platform = open_to_people(topology).await;
    let delivery = Reflected::of(platform, "delivery").await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let (ada, cora) = (
        Person::new(platform, "ada", &[]).await,
        Person::new(platform, "cora", &["courier"]).await,
    );
    let (cora, eve) = (token(platform, &cora).await, token(platform, &ada).await);
    let made =
        delivery.told(&cora, "CreateCourier", &json!({ "name": "Cora", "capacity": 1 })).await;
    let id = json!({ "id": made["id"] });
    assert_eq!(delivery.told(&cora, "GetCourier", &id).await["name"], "Cora");
    assert_eq!(delivery.refused(&eve, "GetCourier", &id).await, "not_found");
    let change = json!({ "version": made["version"], "name": "Cora Bell", "capacity": 2 });
    let change = with(&id, change);
    let changed = delivery.told(&cora, "UpdateCourier", &change).await;
    assert_eq!((&changed["name"], &changed["capacity"]), (&json!("Cora Bell"), &json!(2)));
    assert_eq!(delivery.refused(&cora, "UpdateCourier", &change).await, "version_mismatch");
    delivery.told(&cora, "SetDuty", &json!({ "on_duty": true })).await;
    let list = json!({ "on_duty": true, "page": { "limit": 200 } });
    let listed = delivery.told(&root(platform), "ListCouriers", &list).await;
    assert_eq!(rows(&listed, "couriers", "id", &made["id"]).len(), 1, "{listed}");
    assert_eq!(delivery.refused(&cora, "ListCouriers", &list).await, "permission_denied");

    // A delivery is made by its order.
    let order = restaurant.order(&ada, &[(0, 1)], "card_ok").await;
    restaurant.cook(&order).await;
    let mine = delivery
        .until((&cora, "ListDeliveries", &json!({})), |mine| {
            rows(mine, "deliveries", "order_id", &order["id"]).len() == 1
        })
        .await;
    let job = json!({ "id": rows(&mine, "deliveries", "order_id", &order["id"])[0]["id"] });
    assert_eq!(delivery.told(&cora, "GetDelivery", &job).await["address"], "1 High Street");
    assert_eq!(delivery.told(&cora, "PickUp", &job).await["state"], "picked_up");
    assert_eq!(delivery.told(&cora, "DropOff", &job).await["state"], "delivered");
    wait::until("the order is completed", SOON, async || {
        let path = format!("/orders/{}", text(&order, "/id"));
        let order = get(&ada.client, &path).await.map_err(|error| error.to_string())?;
        if order["state"] == "completed" { Ok(()) } else { Err(order.to_string()) }
    })
    .await;

    delivery.told(&cora, "SetDuty", &json!({ "on_duty": false })).await;
    let shifts = delivery.told(&cora, "ListShifts", &json!({})).await;
    assert_eq!(shifts["shifts"][0]["deliveries"], 1, "{shifts}");
    delivery.told(&cora, "DeleteCourier", &id).await;
    assert_eq!(delivery.told(&root(platform), "GetCourier", &id).await["deleted"], true);
}
