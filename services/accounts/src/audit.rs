//! What `bistro verify` asks of accounts: every user, without personal data.

use std::collections::HashMap;

use bistro_core::{Error, PageRequest};
use bistro_eventing::Engine;
use bistro_proto::common::v1::{AuditPage, AuditRequest, AuditRow};
use bistro_store::{Query, StoreExt as _, Versioned};

use crate::documents::User;

/// One page of every user, by id.
pub(crate) async fn page(engine: &Engine, request: AuditRequest) -> Result<AuditPage, Error> {
    let wanted = request.page.unwrap_or_default();
    let wanted = PageRequest::new(wanted.limit, Some(wanted.cursor));
    let first = wanted.cursor.is_none();
    let users = engine.store().list::<User>(Query::all::<User>().page(&wanted)?).await?;
    Ok(AuditPage {
        backlog: if first { Some(engine.audit_backlog(&[]).await?) } else { None },
        next_cursor: users.next.unwrap_or_default(),
        rows: users.items.iter().map(row).collect(),
    })
}

fn row(user: &Versioned<User>) -> AuditRow {
    let memberships = i64::try_from(user.memberships.len()).unwrap_or(i64::MAX);
    AuditRow {
        id: user.id.to_string(),
        kind: "user".to_owned(),
        state: if user.erased_at.is_some() { "erased" } else { "active" }.to_owned(),
        numbers: HashMap::from([("memberships".to_owned(), memberships)]),
        changed_at_ms: user.changed_at.as_millis(),
        ..AuditRow::default()
    }
}
