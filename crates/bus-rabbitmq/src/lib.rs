//! The messaging contract on RabbitMQ.
