"""The shape of production: PostgreSQL 15, RabbitMQ, separate processes under supervisor."""
