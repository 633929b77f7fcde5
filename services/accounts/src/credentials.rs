//! What a registration must look like: address, password, name and roles, as plain functions.

use bistro_core::{Error, FieldError, Role};
use bistro_proto::accounts::v1::RegisterRequest;

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

/// A registration that is in order, without its password.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Registration {
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) roles: Vec<Role>,
}

/// Checks a registration; all mistakes are said at once. Only `with_admin` may the role of an
/// administrator be among those asked for.
pub(crate) fn check(request: &RegisterRequest, with_admin: bool) -> Result<Registration, Error> {
    let mut wrong = Vec::new();
    let mut refuse = |path: String, message: String| wrong.push(FieldError { path, message });
    let email = normalize_email(&request.email);
    if !is_email(&email) {
        let how = "write an address such as ada@example.org, in ASCII";
        refuse("email".to_owned(), how.to_owned());
    }
    if !(MIN_PASSWORD..=MAX_PASSWORD).contains(&request.password.chars().count()) {
        let how = format!("write {MIN_PASSWORD} to {MAX_PASSWORD} characters, of any kind");
        refuse("password".to_owned(), how);
    }
    let name = request.name.trim();
    if !(1..=MAX_NAME).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        refuse("name".to_owned(), format!("write 1 to {MAX_NAME} characters on one line"));
    }
    let mut roles = vec![Role::Customer];
    for (place, text) in request.roles.iter().enumerate() {
        match text.parse() {
            Ok(Role::Admin) if !with_admin => {
                let how = "administrators are registered by the operator of the platform";
                refuse(format!("roles[{place}]"), how.to_owned());
            }
            Ok(role) => roles.push(role),
            Err(cause) => refuse(format!("roles[{place}]"), cause.message().to_owned()),
        }
    }
    roles.sort_unstable();
    roles.dedup();
    if wrong.is_empty() {
        Ok(Registration { email, name: name.to_owned(), roles })
    } else {
        Err(Error::fields(wrong))
    }
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
        let checked = check(&ada(), false).unwrap();
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
        let error = check(&request, false).unwrap_err();
        let paths: Vec<_> = error.field_errors().iter().map(|field| field.path.as_str()).collect();
        assert_eq!(paths, ["email", "password", "name", "roles[0]", "roles[1]"]);
    }

    #[test]
    fn only_the_operator_makes_administrators() {
        let request = RegisterRequest { roles: vec!["admin".into()], ..ada() };
        assert!(check(&request, false).is_err());
        assert_eq!(check(&request, true).unwrap().roles, [Role::Customer, Role::Admin]);
    }

    #[test]
    fn passwords_are_counted_in_characters() {
        let with = |password: String| check(&RegisterRequest { password, ..ada() }, false).is_ok();
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
