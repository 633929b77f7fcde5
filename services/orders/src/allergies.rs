//! Allergy profiles: what a user must not eat, and what a quote does with a dish that holds it.

use bistro_core::{Allergen, Error, ErrorCode, FieldError, Id, Principal, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::orders::v1;
use bistro_runtime::Asked;
use bistro_store::{Collection, Document, DocumentRef, StoreError, StoreExt as _, Versioned, Work};
use serde::{Deserialize, Serialize};

use crate::service::OrdersService;

/// By the user's id.
pub(crate) static ALLERGY_PROFILES: Collection = Collection {
    role: "orders",
    name: "allergy_profiles",
    schema: 1,
    compatible_from: 1,
    indexes: &[],
};

/// What a quote does with a dish that holds what its asker must not eat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    Warn,
    Block,
}

impl Mode {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Block => "block",
        }
    }
}

/// What a user must not eat. Personal: erased with the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AllergyProfile {
    pub(crate) user: Id<kinds::User>,
    pub(crate) allergens: Vec<Allergen>,
    pub(crate) mode: Mode,
}

impl Document for AllergyProfile {
    const COLLECTION: &'static Collection = &ALLERGY_PROFILES;

    fn id(&self) -> String {
        self.user.to_string()
    }
}

/// What a profile says about a basket.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Advice {
    pub(crate) warnings: Vec<v1::AllergyWarning>,
    pub(crate) blocked: Vec<FieldError>,
    /// What the kitchen must be told.
    pub(crate) allergies: Vec<String>,
}

impl AllergyProfile {
    /// What it says about `lines`, each with its name and its allergens; `accepted` turns what it
    /// blocks into warnings.
    pub(crate) fn advice<'a>(
        &self,
        lines: impl IntoIterator<Item = (&'a str, &'a [String])>,
        accepted: bool,
    ) -> Advice {
        let allergies = Allergen::words(&self.allergens);
        let mut advice = Advice::default();
        for (place, (name, holds)) in lines.into_iter().enumerate() {
            let found: Vec<String> =
                holds.iter().filter(|word| allergies.contains(word)).cloned().collect();
            if found.is_empty() {
                continue;
            }
            if self.mode == Mode::Block && !accepted {
                let message = format!(
                    "{name} holds {}, which your allergy profile blocks; \
                     send allergens_accepted to order it all the same",
                    found.join(", ")
                );
                advice
                    .blocked
                    .push(FieldError { path: format!("lines[{place}].item_id"), message });
            }
            let line = u32::try_from(place).unwrap_or(u32::MAX);
            advice.warnings.push(v1::AllergyWarning { line, allergens: found });
        }
        Advice { allergies, ..advice }
    }
}

fn message(profile: Option<&Versioned<AllergyProfile>>) -> v1::AllergyProfile {
    let none = v1::AllergyProfile { mode: Mode::Warn.as_str().to_owned(), ..Default::default() };
    profile.map_or(none, |profile| v1::AllergyProfile {
        allergens: Allergen::words(&profile.allergens),
        mode: profile.mode.as_str().to_owned(),
        version: profile.version,
    })
}

impl OrdersService {
    /// The profile of `user`, if there is one.
    pub(crate) async fn profile(
        &self,
        user: Id<kinds::User>,
    ) -> Result<Option<Versioned<AllergyProfile>>, StoreError> {
        self.engine.store().load(&user.to_string()).await
    }

    /// The asker's profile, or another user's of whom support asks.
    pub(crate) async fn allergies_of(
        &self,
        principal: &Principal,
        request: &v1::GetAllergyProfileRequest,
    ) -> Result<v1::AllergyProfile, Error> {
        let user = if request.user_id.is_empty() {
            principal.require_user()?
        } else {
            let user = request
                .user_id
                .parse()
                .map_err(|cause| Error::field("user_id", format!("{cause}")))?;
            principal.require_self_or_support(user)?;
            user
        };
        Ok(message(self.profile(user).await?.as_ref()))
    }

    /// Replaces the asker's profile at the version that was read.
    pub(crate) async fn set_allergies(
        &self,
        asked: &Asked,
        request: &v1::SetAllergyProfileRequest,
    ) -> Result<v1::AllergyProfile, Error> {
        let user = asked.principal.require_user()?;
        let after = &check(user, request)?;
        let command = asked.command("orders.set_allergy_profile", request)?;
        let decide = |mut work: Work| async move {
            let before = self.profile(user).await?;
            let version = before.as_ref().map_or(0, |before| before.version);
            if version != request.version {
                let message = "the profile changed since it was read; read it again";
                return Err(Error::new(ErrorCode::VersionMismatch, message));
            }
            match &before {
                None => work.insert(after)?,
                Some(before) => work.replace(before, after)?,
            };
            let after = Versioned { value: after.clone(), version: version + 1 };
            Ok(Decision::commit(work, message(Some(&after))))
        };
        let mark_at = MarkAt::Document(DocumentRef::of::<AllergyProfile>(user));
        let replay = |_| async move { Ok(message(self.profile(user).await?.as_ref())) };
        self.engine.request(&command, &mark_at, decide, replay).await
    }
}

fn check(
    user: Id<kinds::User>,
    request: &v1::SetAllergyProfileRequest,
) -> Result<AllergyProfile, Error> {
    let mut wrong = Vec::new();
    let allergens = Allergen::read("allergens", &request.allergens, &mut wrong);
    let mode = match request.mode.as_str() {
        "warn" => Mode::Warn,
        "block" => Mode::Block,
        _ => {
            let message = "write warn or block".to_owned();
            wrong.push(FieldError { path: "mode".to_owned(), message });
            Mode::Warn
        }
    };
    if wrong.is_empty() {
        Ok(AllergyProfile { user, allergens, mode })
    } else {
        Err(Error::fields(wrong))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(mode: Mode) -> AllergyProfile {
        let allergens = vec![Allergen::Milk, Allergen::Nuts];
        AllergyProfile { user: Id::from_bits(1), allergens, mode }
    }

    #[test]
    fn it_warns_or_blocks_and_the_kitchen_is_told_either_way() {
        let holds = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let holds: [Vec<String>; 3] =
            [holds(&["gluten"]), holds(&["eggs", "milk"]), holds(&["milk", "nuts"])];
        let names = ["Naan", "Flan", "Korma"];
        let advise = |mode, accepted| {
            let lines = names.iter().copied().zip(holds.iter().map(Vec::as_slice));
            profile(mode).advice(lines, accepted)
        };
        let warned = advise(Mode::Warn, false);
        let places: Vec<u32> = warned.warnings.iter().map(|warning| warning.line).collect();
        assert_eq!(places, [1, 2]);
        assert_eq!(warned.warnings[0].allergens, ["milk"]);
        assert_eq!(
            (warned.blocked.len(), &*warned.allergies),
            (0, &["milk", "nuts"].map(str::to_owned)[..])
        );
        let blocked = advise(Mode::Block, false);
        let paths: Vec<_> = blocked.blocked.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["lines[1].item_id", "lines[2].item_id"]);
        assert!(blocked.blocked[1].message.starts_with("Korma holds milk, nuts"));
        assert_eq!(advise(Mode::Block, true), warned);
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let request = v1::SetAllergyProfileRequest {
            version: 0,
            allergens: vec!["dust".to_owned()],
            mode: "panic".to_owned(),
        };
        let refused = check(Id::from_bits(1), &request).unwrap_err();
        let paths: Vec<_> = refused.field_errors().iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["allergens[0]", "mode"]);
    }
}
