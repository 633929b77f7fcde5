//! Everything that customers choose from, in one answer.

use std::sync::Arc;

use bistro_core::Error;
use bistro_proto::catalog::v1;

use crate::{service::Catalog, shops::Moment, wire};

impl Catalog {
    /// The whole menu, as it was a second ago at most.
    pub(crate) async fn read_menu(
        &self,
        message: &v1::ReadMenuRequest,
    ) -> Result<v1::FullMenu, Error> {
        let id = wire::id("restaurant_id", &message.restaurant_id)?;
        let (restaurant, frame, items) = tokio::try_join!(
            self.recent_restaurant(id),
            self.recent_frame(id),
            self.recent_items(id),
        )?;
        let now = self.engine.now();
        let moment = Moment { frame: &frame, zone: restaurant.zone(), when: now };
        let gone = items.iter().filter(|item| !moment.can_be_had(item));
        let choices = frame.groups.values().flat_map(|group| &group.choices);
        let gone_choices = choices.filter(|choice| !moment.has_choice(choice));
        let sold_out = gone
            .map(|item| item.id.to_string())
            .chain(gone_choices.map(|choice| choice.id.to_string()))
            .collect();
        let mut shown: Vec<_> = Arc::clone(&items).iter().cloned().collect();
        shown.sort_by_key(|item| item.details.position);
        Ok(v1::FullMenu {
            restaurant: Some(wire::restaurant(&restaurant, restaurant.version, now)),
            menus: frame.menus.iter().map(|menu| wire::menu(menu, menu.version)).collect(),
            items: shown.iter().map(|item| wire::item(item, &frame, now)).collect(),
            groups: frame.groups.values().map(|group| wire::option_group(group, now)).collect(),
            ingredients: frame.ingredients.values().map(|one| wire::ingredient(one, now)).collect(),
            sold_out,
        })
    }
}
