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

use crate::{audit, wire};

/// Catalog's service.
pub(crate) struct Catalog {
    pub(crate) engine: Engine,
    /// How long stock is held for an order whose asker did not say.
    pub(crate) reservation_ttl: Duration,
    /// How long an access token lives.
    pub(crate) token_ttl: Duration,
}

fn answer<T>(result: Result<T, Error>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(|error| status_of(&error))
}

#[tonic::async_trait]
impl catalog_server::Catalog for Catalog {
    async fn create_restaurant(
        &self,
        request: Request<v1::CreateRestaurantRequest>,
    ) -> Result<Response<v1::Restaurant>, Status> {
        let (asked, message) = ask(request)?;
        answer(Self::create_restaurant(self, &asked, &message).await)
    }

    async fn get_restaurant(
        &self,
        request: Request<v1::GetRestaurantRequest>,
    ) -> Result<Response<v1::Restaurant>, Status> {
        let get = async {
            let id = wire::id("id", &request.get_ref().id)?;
            Ok(wire::restaurant(&self.restaurant(id).await?))
        };
        answer(get.await)
    }

    async fn list_restaurants(
        &self,
        request: Request<v1::ListRestaurantsRequest>,
    ) -> Result<Response<v1::ListRestaurantsResponse>, Status> {
        answer(Self::list_restaurants(self, request.get_ref()).await)
    }

    async fn set_open(
        &self,
        request: Request<v1::SetOpenRequest>,
    ) -> Result<Response<v1::Restaurant>, Status> {
        let (asked, message) = ask(request)?;
        answer(Self::set_open(self, &asked, &message).await)
    }

    async fn import_menu(
        &self,
        request: Request<v1::ImportMenuRequest>,
    ) -> Result<Response<v1::ImportMenuResponse>, Status> {
        let (asked, message) = ask(request)?;
        answer(Self::import_menu(self, &asked, &message).await)
    }

    async fn list_items(
        &self,
        request: Request<v1::ListItemsRequest>,
    ) -> Result<Response<v1::ListItemsResponse>, Status> {
        answer(Self::list_items(self, request.get_ref()).await)
    }

    async fn get_item(
        &self,
        request: Request<v1::GetItemRequest>,
    ) -> Result<Response<v1::Item>, Status> {
        let get = async {
            let id = wire::id("id", &request.get_ref().id)?;
            Ok(wire::item(&*self.item(id).await?))
        };
        answer(get.await)
    }

    async fn update_item(
        &self,
        request: Request<v1::UpdateItemRequest>,
    ) -> Result<Response<v1::Item>, Status> {
        let (asked, message) = ask(request)?;
        answer(Self::update_item(self, &asked, &message).await)
    }

    async fn set_stock(
        &self,
        request: Request<v1::SetStockRequest>,
    ) -> Result<Response<v1::Item>, Status> {
        let (asked, message) = ask(request)?;
        answer(Self::set_stock(self, &asked, &message).await)
    }

    async fn price_basket(
        &self,
        request: Request<v1::PriceBasketRequest>,
    ) -> Result<Response<v1::PriceBasketResponse>, Status> {
        answer(Self::price_basket(self, request.get_ref()).await)
    }

    async fn reserve(
        &self,
        request: Request<v1::ReserveRequest>,
    ) -> Result<Response<v1::ReserveResponse>, Status> {
        let (asked, message) = ask(request)?;
        answer(Self::reserve(self, &asked, &message).await)
    }

    async fn release(
        &self,
        request: Request<v1::ReleaseRequest>,
    ) -> Result<Response<v1::ReleaseResponse>, Status> {
        let (asked, message) = ask(request)?;
        answer(Self::release(self, &asked, &message).await)
    }

    async fn audit(&self, request: Request<AuditRequest>) -> Result<Response<AuditPage>, Status> {
        let (asked, message) = ask(request)?;
        answer(audit::page(&self.engine, &asked.principal, &message).await)
    }
}
