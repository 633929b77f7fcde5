//! Deleting what leaves no trace: a menu, an option group, an ingredient.

use bistro_core::{Error, ErrorCode, Id, Principal, kinds};
use bistro_store::{Cause, Document, StoreError, StoreExt as _, Versioned};

use crate::{service::Catalog, tally::Amount};

/// How often a deletion is tried against concurrent changes.
const ROUNDS: u32 = 8;

impl Catalog {
    /// Deletes the document `id` if `allow` agrees. Deleting it twice is deleting it once, so
    /// there is nothing to mark.
    ///
    /// `about` says whose it is and how many bytes of a menu it takes; `allow` gets the document as it is about to be deleted: if
    /// it changes meanwhile, also because something begins to use it, `allow` is asked again.
    pub(crate) async fn delete<D: Document, F: Future<Output = Result<(), Error>>>(
        &self,
        principal: &Principal,
        id: &str,
        about: impl Fn(&D) -> (Id<kinds::Restaurant>, usize),
        allow: impl Fn(Versioned<D>) -> F,
    ) -> Result<(), Error> {
        if *principal == Principal::Anonymous {
            return Err(Error::unauthenticated());
        }
        for _ in 0..ROUNDS {
            let Some(there) = self.engine.store().load::<D>(id).await? else {
                return Ok(());
            };
            let (restaurant, bytes) = about(&there);
            self.require_manager(principal, restaurant).await?;
            let _changing = self.shops.changing(restaurant);
            allow(there.clone()).await?;
            let name = format!("delete/{id}/{}", there.version);
            let mut work = self.engine.work(Cause::Tick { name });
            work.delete(&there);
            self.tally(&mut work, restaurant, Amount::of_bytes(bytes, 0)).await?;
            match self.engine.commit(work).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::new(ErrorCode::Conflict, "others keep changing this; try again"))
    }
}

/// That something cannot be deleted while `users` have it.
pub(crate) fn in_use(users: &[String]) -> Result<(), Error> {
    /// Named at most.
    const NAMED: usize = 5;
    if users.is_empty() {
        return Ok(());
    }
    let mut names = users.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if users.len() > NAMED {
        names.push_str(", …");
    }
    let message = format!("it is used by {}: {names}; take it out of them first", users.len());
    Err(Error::new(ErrorCode::WrongState, message))
}
