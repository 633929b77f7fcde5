//! The gRPC service: reads each request and hands it to the command or question behind it.

use std::time::Duration;

use bistro_core::Error;
use bistro_eventing::Engine;
use bistro_proto::{
    catalog::v1::{self, catalog_server},
    common::v1::{AuditPage, AuditRequest},
};
use bistro_runtime::{ask, status_of};
use tonic::{Request, Response, Status};

use crate::{audit, shops::Shops};

/// Catalog's service.
pub(crate) struct Catalog {
    pub(crate) engine: Engine,
    /// How long stock is held for an order whose asker did not say.
    pub(crate) reservation_ttl: Duration,
    /// How long an access token lives.
    pub(crate) token_ttl: Duration,
    /// The most that one message may take, in bytes.
    pub(crate) message_bytes: usize,
    /// What was read a moment ago.
    pub(crate) shops: Shops,
}

fn answer<T>(result: Result<T, Error>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(|error| status_of(&error))
}

/// Implements the service: `commands` and `questions` by the methods of [`Catalog`] of the same
/// names, which get who asks or not.
macro_rules! service {
    (
        commands { $($command:ident($order:ident) -> $done:ident;)* }
        questions { $($question:ident($query:ident) -> $told:ident;)* }
    ) => {
        #[tonic::async_trait]
        impl catalog_server::Catalog for Catalog {
            $(async fn $command(
                &self,
                request: Request<v1::$order>,
            ) -> Result<Response<v1::$done>, Status> {
                let (asked, message) = ask(request)?;
                answer(Self::$command(self, &asked, &message).await)
            })*

            $(async fn $question(
                &self,
                request: Request<v1::$query>,
            ) -> Result<Response<v1::$told>, Status> {
                answer(Self::$question(self, request.get_ref()).await)
            })*

            async fn get_restaurant(
                &self,
                request: Request<v1::GetRestaurantRequest>,
            ) -> Result<Response<v1::Restaurant>, Status> {
                let (asked, message) = ask(request)?;
                answer(Self::get_restaurant(self, &asked.principal, &message).await)
            }

            async fn price_basket(
                &self,
                request: Request<v1::PriceBasketRequest>,
            ) -> Result<Response<v1::PriceBasketResponse>, Status> {
                let (asked, message) = ask(request)?;
                answer(Self::price_basket(self, &asked.principal, &message).await)
            }

            async fn audit(
                &self,
                request: Request<AuditRequest>,
            ) -> Result<Response<AuditPage>, Status> {
                let (asked, message) = ask(request)?;
                answer(audit::page(&self.engine, &asked.principal, &message).await)
            }
        }
    };
}

service! {
    commands {
        create_restaurant(CreateRestaurantRequest) -> Restaurant;
        update_restaurant(UpdateRestaurantRequest) -> Restaurant;
        delete_restaurant(DeleteRestaurantRequest) -> DeleteRestaurantResponse;
        set_open(SetOpenRequest) -> Restaurant;
        import_menu(ImportMenuRequest) -> ImportMenuResponse;
        create_menu(CreateMenuRequest) -> Menu;
        update_menu(UpdateMenuRequest) -> Menu;
        delete_menu(DeleteMenuRequest) -> DeleteMenuResponse;
        create_item(CreateItemRequest) -> Item;
        update_item(UpdateItemRequest) -> Item;
        delete_item(DeleteItemRequest) -> DeleteItemResponse;
        set_stock(SetStockRequest) -> Item;
        create_option_group(CreateOptionGroupRequest) -> OptionGroup;
        update_option_group(UpdateOptionGroupRequest) -> OptionGroup;
        delete_option_group(DeleteOptionGroupRequest) -> DeleteOptionGroupResponse;
        create_ingredient(CreateIngredientRequest) -> Ingredient;
        update_ingredient(UpdateIngredientRequest) -> Ingredient;
        delete_ingredient(DeleteIngredientRequest) -> DeleteIngredientResponse;
        set_availability(SetAvailabilityRequest) -> SetAvailabilityResponse;
        reserve(ReserveRequest) -> ReserveResponse;
        keep(KeepRequest) -> KeepResponse;
        release(ReleaseRequest) -> ReleaseResponse;
    }
    questions {
        list_restaurants(ListRestaurantsRequest) -> ListRestaurantsResponse;
        read_menu(ReadMenuRequest) -> FullMenu;
        get_menu(GetMenuRequest) -> Menu;
        list_menus(ListMenusRequest) -> ListMenusResponse;
        get_item(GetItemRequest) -> Item;
        list_items(ListItemsRequest) -> ListItemsResponse;
        get_option_group(GetOptionGroupRequest) -> OptionGroup;
        list_option_groups(ListOptionGroupsRequest) -> ListOptionGroupsResponse;
        get_ingredient(GetIngredientRequest) -> Ingredient;
        list_ingredients(ListIngredientsRequest) -> ListIngredientsResponse;
    }
}
