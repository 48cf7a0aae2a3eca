// Package rabbitmq answers RabbitMQ's HTTP authentication backend
// (rabbitmq_auth_backend_http with http_method = post): may this user log in,
// enter this virtual host, use this queue. A user's name names one key, its
// password belongs to that same key, and its virtual host is that key's own.
//
// Every answer is 200 and the word allow or deny; what cannot be told is 503,
// which RabbitMQ takes for a refusal. No tags are ever given: they open
// RabbitMQ's own management to whoever logs in with them. A form that says a
// thing twice, or that cannot be read, is denied.
package rabbitmq
