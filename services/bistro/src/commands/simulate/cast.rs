//! Who takes part: customers, a manager, a chef and couriers, each with an account of their own.

use std::sync::Arc;

use bistro_client::{ClientError, Insistence, Request};
use bistro_core::{Error, ErrorCode};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;

use super::{
    account::{Account, Passwords},
    stage::Stage,
};

/// Accounts that are made at once: each costs the server a slow password hash.
const AT_ONCE: usize = 8;
/// Deliveries that a courier may say to bring at once, unless the platform's configuration says
/// otherwise.
const MAX_CAPACITY: usize = 50;

/// Everybody who takes part.
pub(super) struct Cast {
    pub(super) customers: Vec<Arc<Account>>,
    pub(super) manager: Arc<Account>,
    pub(super) chef: Arc<Account>,
    pub(super) couriers: Vec<Arc<Account>>,
}

/// How many take part, and how much at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    pub(super) customers: usize,
    pub(super) couriers: usize,
    pub(super) concurrency: usize,
}

impl Cast {
    /// Registers everybody and puts them to work. What an earlier part of the run did, it leaves.
    pub(super) async fn gather(
        stage: &Stage,
        passwords: &Passwords,
        numbers: Numbers,
    ) -> Result<Self, Error> {
        let account = |who: String| {
            let email = format!("sim-{}-{who}@bistro.test", stage.run);
            Arc::new(Account::new(email, passwords.clone(), stage.operator.clone(), stage.patience))
        };
        let cast = Self {
            customers: (0..numbers.customers).map(|n| account(format!("customer-{n}"))).collect(),
            manager: account("manager".to_owned()),
            chef: account("chef".to_owned()),
            couriers: (0..numbers.couriers).map(|n| account(format!("courier-{n}"))).collect(),
        };
        hire(stage, &cast.manager, "manager", "restaurateur").await?;
        hire(stage, &cast.chef, "chef", "chef").await?;
        let roomy = numbers.concurrency.div_ceil(numbers.couriers.max(1)) * 2 + 2;
        let capacity = roomy.min(MAX_CAPACITY);
        stream::iter(&cast.couriers)
            .map(|courier| async move { equip(stage, courier, capacity).await })
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        stream::iter(&cast.customers)
            .map(|customer| async move {
                customer.register("A customer", &[], &stage.tally).await?;
                customer.user(&stage.tally).await?;
                Ok::<_, Error>(())
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(cast)
    }

    /// Sends the couriers off duty, so that later orders are not given to nobody.
    pub(super) async fn dismiss(&self, stage: &Stage) -> Result<(), Error> {
        let request = &duty(false);
        stream::iter(&self.couriers)
            .map(|courier| async move { courier.call(request, &stage.tally).await.map(|_| ()) })
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }
}

/// Registers `account` and makes it one of the restaurant's staff.
async fn hire(stage: &Stage, account: &Account, staff_role: &str, role: &str) -> Result<(), Error> {
    account.register(&format!("A {staff_role}"), &[role], &stage.tally).await?;
    let user = account.user(&stage.tally).await?;
    let path = format!("/api/v1/restaurants/{}/members/{user}", stage.restaurant.id);
    let request = Request::put(path, &json!({ "role": staff_role }));
    stage.operator.insist(&request, &mut Insistence::lasting(stage.patience)).await?;
    // The next token says so.
    account.renew().await;
    Ok(())
}

/// Registers `account` and makes it a courier on duty.
async fn equip(stage: &Stage, account: &Account, capacity: usize) -> Result<(), Error> {
    account.register("A courier", &["courier"], &stage.tally).await?;
    let body = json!({ "name": "A courier", "capacity": capacity });
    let key = format!("sim-{}-courier", stage.run);
    let made = account.call(&Request::post("/api/v1/couriers", key, &body), &stage.tally).await;
    match made {
        Err(error) if !is_there_already(&error) => return Err(error.into()),
        _ => {}
    }
    account.call(&duty(true), &stage.tally).await?;
    Ok(())
}

/// A resumed run with another concurrency asks for another capacity: the first one stays.
fn is_there_already(error: &ClientError) -> bool {
    [ErrorCode::AlreadyExists, ErrorCode::IdempotencyKeyReused]
        .iter()
        .any(|code| error.code() == Some(code.as_str()))
}

fn duty(on: bool) -> Request {
    Request::put("/api/v1/couriers/me/duty", &json!({ "on_duty": on }))
}
