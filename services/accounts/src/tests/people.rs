//! Users as administrators see them, their sessions, and what is stored of a person.

use std::time::Duration;

use bistro_core::{ErrorCode, Id, StaffRole, kinds};
use bistro_proto::{
    accounts::v1::{
        Activity, CreateInvitationRequest, CreateUserRequest, DeleteUserRequest, ExportUserRequest,
        GetSessionRequest, ListSessionsRequest, ListUsersRequest, RecordActivityRequest,
        RegisterRequest, Tokens, UpdateUserRequest, UserExport,
    },
    common::v1::PageRequest,
};
use bistro_store::Cause;

use super::{
    LogOutRequest,
    members::{PLACE, catalog, id},
    platform::{ACCESS, GRACE, IDLE, PASSWORD, Platform, as_who, keyed, new_user, refusal},
};
use crate::{
    invitations::Invitation,
    session::{Lifetimes, Session},
};

/// Somebody who was made an administrator by the operator.
async fn admin(platform: &Platform, name: &str) -> Tokens {
    let email = format!("{name}@example.org");
    let request = RegisterRequest { roles: vec!["admin".into()], ..new_user(&email) };
    let operator = platform.authority.operator_token().unwrap();
    as_who(Some(&operator), platform.client().register(keyed(request, name))).await.unwrap();
    platform.log_in(&email, PASSWORD).await.unwrap()
}

#[tokio::test]
async fn an_administrator_makes_users_of_any_role_while_being_one() {
    let platform = Platform::new();
    let root = admin(&platform, "root").await;
    let sue = RegisterRequest { roles: vec!["support".into()], ..new_user("sue@example.org") };
    let made = as_who(Some(&root.access_token), platform.client().register(keyed(sue, "k1")))
        .await
        .unwrap();
    assert_eq!(made.roles, ["customer", "support"]);
    let tim = CreateUserRequest {
        email: "tim@example.org".into(),
        password: PASSWORD.into(),
        name: "Tim".into(),
        roles: vec!["admin".into()],
    };
    let made =
        as_who(Some(&root.access_token), platform.client().create_user(keyed(tim.clone(), "k2")))
            .await
            .unwrap();
    assert_eq!(made.roles, ["customer", "admin"]);

    // Who has lost the role has lost it, whatever the token still says.
    let operator = platform.authority.operator_token().unwrap();
    let lost = UpdateUserRequest {
        id: id(&root),
        version: root.user.as_ref().unwrap().version,
        email: "root@example.org".into(),
        name: "Root".into(),
        roles: vec!["courier".into()],
        ..UpdateUserRequest::default()
    };
    as_who(Some(&operator), platform.client().update_user(keyed(lost, "k3"))).await.unwrap();
    let eve = CreateUserRequest { email: "eve@example.org".into(), ..tim };
    let refused =
        as_who(Some(&root.access_token), platform.client().create_user(keyed(eve, "k4"))).await;
    assert_eq!(refusal(refused), ErrorCode::PermissionDenied);
    let ivy = RegisterRequest { roles: vec!["admin".into()], ..new_user("ivy@example.org") };
    let refused =
        as_who(Some(&root.access_token), platform.client().register(keyed(ivy, "k5"))).await;
    assert_eq!(refusal(refused), ErrorCode::PermissionDenied);
}

#[tokio::test]
async fn cursors_of_users_tell_no_address() {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let platform = Platform::new();
    for name in ["ada", "bob", "eve"] {
        platform.register(new_user(&format!("{name}@example.org")), name).await.unwrap();
    }
    let operator = platform.authority.operator_token().unwrap();
    let list = async |prefix: &str, cursor: &str| {
        let page = PageRequest { limit: 1, cursor: cursor.into() };
        let request = ListUsersRequest { email_prefix: prefix.into(), page: Some(page) };
        as_who(Some(&operator), platform.client().list_users(request)).await
    };
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    loop {
        let page = list("", &cursor).await.unwrap();
        seen.extend(page.users.into_iter().map(|user| user.email));
        cursor = page.next_cursor;
        if cursor.is_empty() {
            break;
        }
        let plain = URL_SAFE_NO_PAD.decode(&cursor).expect("what a query can hold");
        assert!(!String::from_utf8_lossy(&plain).contains("example"), "{cursor}");
        let wrong = list("", &format!("{cursor}A")).await.unwrap_err();
        assert_eq!(wrong.field_errors()[0].path, "cursor");
        assert!(list("zoe@", &cursor).await.is_err(), "a cursor of another list");
    }
    assert_eq!(seen, ["ada@example.org", "bob@example.org", "eve@example.org"]);
}

#[tokio::test]
async fn a_user_has_so_many_sessions_and_the_oldest_ends() {
    let platform = Platform::new();
    let first = platform.user("ada").await;
    let user = id(&first).parse().unwrap();
    platform.clock.advance(Duration::from_secs(1));
    let now = platform.engine.now();
    let lifetimes = Lifetimes { access: ACCESS, idle: IDLE, grace: GRACE };
    let mut work = platform.engine.work(Cause::Tick { name: "many".to_owned() });
    for number in 0..98 {
        let session = Session::begin(Id::from_bits(number), user, "a tablet", now, lifetimes);
        work.insert(&session).unwrap();
    }
    platform.engine.commit(work).await.unwrap();
    platform.clock.advance(Duration::from_secs(1));
    let sessions = || {
        let stored = platform.store.dump();
        stored.lines().filter(|line| line.starts_with("accounts.sessions/")).count()
    };
    platform.log_in("ada@example.org", PASSWORD).await.unwrap();
    assert_eq!(sessions(), 100);
    assert!(platform.refresh(&first.refresh_token).await.is_ok(), "as many as one may have");
    let last = platform.log_in("ada@example.org", PASSWORD).await.unwrap();
    assert_eq!(sessions(), 100);
    assert_eq!(refusal(platform.refresh(&first.refresh_token).await), ErrorCode::Unauthenticated);
    assert!(platform.refresh(&last.refresh_token).await.is_ok());
}

#[tokio::test]
async fn a_session_is_shown_to_its_user_and_to_no_other() {
    let platform = Platform::new();
    let (ada, eve) = (platform.user("ada").await, platform.user("eve").await);
    let session = ada.refresh_token.split('.').next().unwrap().to_owned();
    let show = async |token: Option<&str>, id: &str| {
        let request = GetSessionRequest { id: id.into() };
        as_who(token, platform.client().get_session(request)).await
    };
    let seen = show(Some(&ada.access_token), &session).await.unwrap();
    assert!(seen.current && seen.client == "a test");
    assert_eq!(refusal(show(Some(&eve.access_token), &session).await), ErrorCode::NotFound);
    assert_eq!(refusal(show(None, &session).await), ErrorCode::Unauthenticated);
    let none = Id::<kinds::Session>::from_bits(1).to_string();
    assert_eq!(refusal(show(Some(&ada.access_token), &none).await), ErrorCode::NotFound);
    let operator = platform.authority.operator_token().unwrap();
    assert!(!show(Some(&operator), &session).await.unwrap().current);
    as_who(Some(&ada.access_token), platform.client().log_out(LogOutRequest {})).await.unwrap();
    assert_eq!(refusal(show(Some(&operator), &session).await), ErrorCode::NotFound);
    assert_eq!(platform.store.dump().matches("a test").count(), 1, "only Eve's is named");
}

/// One entry of the trail: what `actor` did to `subject`.
fn did(number: u128, actor: &str, subject: &str) -> Activity {
    Activity {
        id: Id::<kinds::Activity>::from_bits(number).to_string(),
        at_ms: 1_800_000_000_000,
        actor: actor.to_owned(),
        action: "POST /api/v1/orders".to_owned(),
        subject: subject.to_owned(),
        status: 201,
        ..Activity::default()
    }
}

async fn export(platform: &Platform, token: &str, user: &str) -> Result<UserExport, ErrorCode> {
    let request = ExportUserRequest { id: user.into() };
    let exported = as_who(Some(token), platform.client().export_user(request)).await;
    exported.map_err(|refused| refused.code())
}

#[tokio::test]
async fn an_export_holds_all_of_a_person_and_nothing_of_another() {
    let platform = Platform::new();
    let (ada, eve) = (platform.user("ada").await, platform.user("eve").await);
    let operator = platform.authority.operator_token().unwrap();
    for (number, email) in [(1, "ada@example.org"), (2, "eve@example.org")] {
        let request = CreateInvitationRequest {
            restaurant_id: PLACE.to_string(),
            email: email.into(),
            role: "chef".into(),
        };
        let key = format!("i{number}");
        as_who(Some(&operator), platform.client().create_invitation(keyed(request, &key)))
            .await
            .unwrap();
    }
    let (ada_id, eve_id) = (id(&ada), id(&eve));
    let entries = vec![did(1, &ada_id, "ord_1"), did(2, &eve_id, &ada_id)];
    let gateway = platform.authority.workload_token("gateway").unwrap();
    as_who(Some(&gateway), platform.client().record_activity(RecordActivityRequest { entries }))
        .await
        .unwrap();

    let own = export(&platform, &ada.access_token, &ada_id).await.unwrap();
    assert_eq!(own.user.as_ref().unwrap().email, "ada@example.org");
    assert_eq!((own.sessions.len(), own.invitations.len(), own.activity.len()), (1, 1, 1));
    assert!(own.invitations[0].token.is_empty() && !own.more);
    let all = format!("{own:?}");
    assert!(!all.contains(&eve_id) && !all.contains("eve@"), "{all}");
    // An administrator may see it, and nobody else: not even that there is such a person.
    let same = export(&platform, &operator, &ada_id).await.unwrap();
    assert_eq!((same.invitations, same.activity), (own.invitations, own.activity));
    assert_eq!(export(&platform, &eve.access_token, &ada_id).await, Err(ErrorCode::NotFound));
    let other_role = export(&platform, &catalog(&platform), &ada_id).await;
    assert_eq!(other_role, Err(ErrorCode::PermissionDenied));
}

#[tokio::test]
async fn nothing_that_names_an_erased_person_is_left() {
    let platform = Platform::new();
    let ada = platform.user("ada").await;
    let phone = platform.log_in("ada@example.org", PASSWORD).await.unwrap();
    let operator = platform.authority.operator_token().unwrap();
    let request = CreateInvitationRequest {
        restaurant_id: PLACE.to_string(),
        email: "ada@example.org".into(),
        role: "chef".into(),
    };
    as_who(Some(&operator), platform.client().create_invitation(keyed(request, "i")))
        .await
        .unwrap();
    assert!(platform.store.dump().contains("ada@example.org"));
    let request = DeleteUserRequest { id: id(&ada) };
    as_who(Some(&ada.access_token), platform.client().delete_user(keyed(request, "d")))
        .await
        .unwrap();
    let left = platform.store.dump();
    for word in ["ada@example.org", "Somebody", "a test", "argon2"] {
        assert!(!left.contains(word), "{word} in {left}");
    }
    for token in [&ada.refresh_token, &phone.refresh_token] {
        assert_eq!(refusal(platform.refresh(token).await), ErrorCode::Unauthenticated);
    }
    let list = ListSessionsRequest { user_id: id(&ada), page: None };
    let listed = as_who(Some(&operator), platform.client().list_sessions(list)).await.unwrap();
    assert!(listed.sessions.is_empty());
}

#[tokio::test]
async fn however_much_there_is_of_a_person_goes() {
    let platform = Platform::new();
    let ada = platform.user("ada").await;
    let now = platform.engine.now();
    for part in 0..3 {
        let mut work = platform.engine.work(Cause::Tick { name: format!("many/{part}") });
        for number in 0..100 {
            let invitation = Invitation {
                id: Id::from_bits(part * 100 + number),
                restaurant: Id::from_bits(part * 100 + number),
                email: "ada@example.org".into(),
                role: StaffRole::Chef,
                inviter: None,
                created_at: now,
                expires_at: now + Duration::from_hours(1),
                accepted_by: None,
            };
            work.insert(&invitation).unwrap();
        }
        platform.engine.commit(work).await.unwrap();
    }
    let own = export(&platform, &ada.access_token, &id(&ada)).await.unwrap();
    assert!(own.more && own.invitations.len() == 100, "{} are said", own.invitations.len());
    let request = DeleteUserRequest { id: id(&ada) };
    as_who(Some(&ada.access_token), platform.client().delete_user(keyed(request, "d")))
        .await
        .unwrap();
    assert!(!platform.store.dump().contains("ada@example.org"));
}
