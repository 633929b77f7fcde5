//! What a registration must look like: address, password, name and roles, as plain functions.

use bistro_core::{Error, FieldError, Role};
use bistro_proto::accounts::v1::{RegisterRequest, UpdateUserRequest};

/// Bytes of an address at most (RFC 5321, with the erratum).
pub(crate) const MAX_EMAIL: usize = 254;
/// Bytes before the `@` at most (RFC 5321).
const MAX_LOCAL: usize = 64;
/// Bytes of one label of a domain at most (RFC 1035).
const MAX_LABEL: usize = 63;
/// Characters of a password at least (NIST SP 800-63B). There are no rules of composition: they
/// make passwords worse.
const MIN_PASSWORD: usize = 8;
/// Characters of a password at most: a bound for the work of hashing it.
pub(crate) const MAX_PASSWORD: usize = 128;
/// Characters of a name at most.
const MAX_NAME: usize = 100;

/// How to write an address.
const EMAIL_RULE: &str = "write an address such as ada@example.org, in ASCII";

/// A registration that is in order, without its password.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Registration {
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) roles: Vec<Role>,
}

/// Which roles somebody may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Roles {
    /// Those that anybody may take.
    Free,
    /// All.
    Any,
}

/// Checks a registration; all mistakes are said at once.
pub(crate) fn check(request: &RegisterRequest, may: Roles) -> Result<Registration, Error> {
    let mut wrong = Vec::new();
    let email = normalize_email(&request.email);
    let mut refuse = |path: String, message: String| wrong.push(FieldError { path, message });
    if !is_email(&email) {
        refuse("email".to_owned(), EMAIL_RULE.to_owned());
    }
    if !is_password(&request.password) {
        refuse("password".to_owned(), password_rule());
    }
    let name = request.name.trim();
    if !is_name(name) {
        refuse("name".to_owned(), name_rule());
    }
    let roles = read_roles(&request.roles, may, &mut wrong);
    if wrong.is_empty() {
        Ok(Registration { email, name: name.to_owned(), roles })
    } else {
        Err(Error::fields(wrong))
    }
}

/// What a user is to become; all mistakes are said at once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) email: String,
    pub(crate) name: String,
    /// None: as they are.
    pub(crate) roles: Option<Vec<Role>>,
}

/// Checks a change of a user. Only an administrator may change roles.
pub(crate) fn check_change(request: &UpdateUserRequest, by_admin: bool) -> Result<Change, Error> {
    let mut wrong = Vec::new();
    let mut refuse = |path: &str, message: String| {
        wrong.push(FieldError { path: path.to_owned(), message });
    };
    let (email, name) = (normalize_email(&request.email), request.name.trim());
    if !is_email(&email) {
        refuse("email", EMAIL_RULE.to_owned());
    }
    if !is_name(name) {
        refuse("name", name_rule());
    }
    if !request.roles.is_empty() && !by_admin {
        refuse("roles", "only an administrator changes them; leave them out".to_owned());
    }
    let roles = read_roles(&request.roles, Roles::Any, &mut wrong);
    if !wrong.is_empty() {
        return Err(Error::fields(wrong));
    }
    let roles = (!request.roles.is_empty()).then_some(roles);
    Ok(Change { email, name: name.to_owned(), roles })
}

/// The normalized form of an address; the mistake is said of the field `path`.
pub(crate) fn check_email(path: &str, text: &str) -> Result<String, Error> {
    let email = normalize_email(text);
    if is_email(&email) { Ok(email) } else { Err(Error::field(path, EMAIL_RULE)) }
}

/// The roles asked for and customer, each once, in their order.
fn read_roles(texts: &[String], may: Roles, wrong: &mut Vec<FieldError>) -> Vec<Role> {
    let mut roles = vec![Role::Customer];
    for (place, text) in texts.iter().enumerate() {
        let message = match text.parse() {
            Ok(Role::Admin | Role::Support) if may == Roles::Free => {
                "administrators and support are made by an administrator".to_owned()
            }
            Ok(role) => {
                roles.push(role);
                continue;
            }
            Err(cause) => Error::message(&cause).to_owned(),
        };
        wrong.push(FieldError { path: format!("roles[{place}]"), message });
    }
    roles.sort_unstable();
    roles.dedup();
    roles
}

fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn name_rule() -> String {
    format!("write 1 to {MAX_NAME} characters on one line")
}

/// Passes a password that may be set; the mistake is said of the field `path`.
pub(crate) fn check_new_password(path: &str, password: &str) -> Result<(), Error> {
    if is_password(password) { Ok(()) } else { Err(Error::field(path, password_rule())) }
}

fn is_password(text: &str) -> bool {
    (MIN_PASSWORD..=MAX_PASSWORD).contains(&text.chars().count())
}

fn password_rule() -> String {
    format!("write {MIN_PASSWORD} to {MAX_PASSWORD} characters, of any kind")
}

/// The form of an address that is stored, compared and shown: without space around it, in lower
/// case. Only ASCII letters are changed, since other letters are not part of an address here.
pub(crate) fn normalize_email(text: &str) -> String {
    text.trim().to_ascii_lowercase()
}

/// Whether a normalized text has the shape of an address.
///
/// The shape is the one that browsers accept in `<input type="email">` (HTML, "valid e-mail
/// address"), with a point in the domain and without points at the ends or in a row before the
/// `@`. Whether somebody reads it only a letter can tell. Addresses beyond ASCII are refused: two
/// of them may look alike, or become alike in lower case.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    let local_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&byte);
    let points_well = local.split('.').all(|part| !part.is_empty());
    text.len() <= MAX_EMAIL
        && local.len() <= MAX_LOCAL
        && local.bytes().all(local_byte)
        && points_well
        && domain.contains('.')
        && domain.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ada() -> RegisterRequest {
        RegisterRequest {
            email: " Ada@Example.org ".into(),
            password: "pa55 wörd".into(),
            name: " Ada ".into(),
            roles: vec!["courier".into(), "customer".into(), "courier".into()],
        }
    }

    #[test]
    fn a_registration_is_tidied() {
        let checked = check(&ada(), Roles::Free).unwrap();
        assert_eq!(checked.email, "ada@example.org");
        assert_eq!(checked.name, "Ada");
        assert_eq!(checked.roles, [Role::Customer, Role::Courier]);
    }

    #[test]
    fn every_mistake_is_said_at_once() {
        let request = RegisterRequest {
            email: "ada".into(),
            password: "1234567".into(),
            name: "a\nb".into(),
            roles: vec!["king".into(), "admin".into()],
        };
        let error = check(&request, Roles::Free).unwrap_err();
        let paths: Vec<_> = error.field_errors().iter().map(|field| field.path.as_str()).collect();
        assert_eq!(paths, ["email", "password", "name", "roles[0]", "roles[1]"]);
    }

    #[test]
    fn only_the_operator_makes_administrators() {
        let request = RegisterRequest { roles: vec!["admin".into()], ..ada() };
        assert!(check(&request, Roles::Free).is_err());
        assert_eq!(check(&request, Roles::Any).unwrap().roles, [Role::Customer, Role::Admin]);
    }

    #[test]
    fn passwords_are_counted_in_characters() {
        let with =
            |password: String| check(&RegisterRequest { password, ..ada() }, Roles::Free).is_ok();
        assert!(with("ä".repeat(8)) && with("ä".repeat(128)));
        assert!(!with("ä".repeat(7)) && !with("ä".repeat(129)));
    }

    #[test]
    fn addresses_have_the_shape_that_browsers_accept() {
        for good in ["a@b.c", "ada.l+x@sub.example.org", "o'neil@example.co", "a@1-2.de"] {
            assert!(is_email(good), "{good}");
        }
        let long = format!("{}@example.org", "a".repeat(65));
        for bad in [
            "", "@", "a@", "@b.c", "a@b", "a@b.", "a@.b", "a@b..c", "a b@c.d", "a@b@c.d", ".a@b.c",
            "a.@b.c", "a..b@c.d", "a@-b.c", "a@b-.c", "a@b_c.d", "ä@b.c", "a@ä.c", "a@b.c\n",
            &long,
        ] {
            assert!(!is_email(bad), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn normalizing_twice_is_normalizing_once(text in "\\PC*") {
            let once = normalize_email(&text);
            prop_assert_eq!(normalize_email(&once), once);
        }

        #[test]
        fn whatever_is_accepted_is_a_plain_word(text in "[ -~]{0,40}") {
            let email = normalize_email(&text);
            if is_email(&email) {
                prop_assert!(!email.contains(|c: char| c.is_whitespace() || c.is_ascii_uppercase()));
                prop_assert_eq!(email.matches('@').count(), 1);
            }
        }
    }
}
