"""Looking at what RabbitMQ gave up on, and putting it back or throwing it away: `stalk dead-letters`."""
